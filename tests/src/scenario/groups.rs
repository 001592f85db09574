//! `[groups.NAME]`: Auto Scaling groups. A machine is in the group that its `asg` names, which needs no table of its own.

use semver::Version;
use serde::Deserialize;

/// How an Auto Scaling group is set up, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupSpec {
    /// `HealthCheckType`: a comma list.
    pub health_check_type: String,
    /// Whether its instances are registered with a target group of its own.
    pub target_group: bool,
    /// Its suspended processes.
    pub suspended: Vec<String>,
    /// The status of its newest instance refresh.
    pub refresh: Option<String>,
    /// Whether ECS drains what it ends, and keeps it from ending until that is done (managed instance draining).
    pub managed_draining: bool,
    /// The version in the image that it launches; where it is missing, that of its instances.
    pub image: Option<Version>,
    /// Where that image stands.
    pub launch: LaunchFrom,
    /// Whether its launch template names a parameter for the image.
    pub from_parameter: bool,
    /// Whether it has a warm pool.
    pub warm_pool: bool,
    /// `MinSize`, where its capacity provider has managed scaling.
    pub min_size: Option<usize>,
    /// `MaxSize`.
    pub max_size: Option<usize>,
    /// Which instance a scale-in ends.
    pub termination_policy: TerminationPolicy,
}

/// Where the image of a group stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaunchFrom {
    /// In its launch template.
    #[default]
    Template,
    /// In an override of its mixed instances policy.
    OverrideImage,
    /// In the launch template of an override.
    OverrideTemplate,
    /// In its launch configuration.
    Configuration,
}

/// A termination policy of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum TerminationPolicy {
    /// One of the oldest image, and of these any.
    #[default]
    Default,
    OldestInstance,
    NewestInstance,
}

impl TerminationPolicy {
    /// EC2 Auto Scaling's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::OldestInstance => "OldestInstance",
            Self::NewestInstance => "NewestInstance",
        }
    }
}

impl Default for GroupSpec {
    fn default() -> Self {
        Self {
            health_check_type: "EC2".to_owned(),
            target_group: false,
            suspended: Vec::new(),
            refresh: None,
            managed_draining: true,
            image: None,
            launch: LaunchFrom::default(),
            from_parameter: false,
            warm_pool: false,
            min_size: None,
            max_size: None,
            termination_policy: TerminationPolicy::default(),
        }
    }
}

/// What becomes of an Auto Scaling group, by a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GroupAction {
    /// It gets another desired capacity.
    DesiredCapacity { desired: usize },
    /// It gets another least size.
    MinSize { min_size: usize },
    /// Its newest instance refresh comes to this status.
    InstanceRefresh { status: String },
}

/// What the metadata service answers to the question where an Auto Scaling group takes its instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetLifecycle {
    /// The state that the instance goes to.
    #[default]
    Told,
    /// 404: its group has not moved it since the service tells of that.
    Missing,
    /// 403.
    Refused,
}

/// What ECS's hook does once somebody has set an instance ACTIVE whose group waits to end it (docs/facts/auto-scaling.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActiveWhileTerminating {
    /// It waits until the instance is empty, for its new tasks too.
    #[default]
    Waits,
    /// It lets the instance end, with the tasks on it.
    Completes,
    /// ECS drains it again.
    DrainsAgain,
}
