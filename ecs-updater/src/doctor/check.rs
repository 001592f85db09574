//! The checks by their ids. `docs/prerequisites.md` has a line for each.

/// Makes the enum of the checks, with their ids.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = $id:literal,)+) => {
        /// A check.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Check {
            $($(#[$doc])* $name,)+
        }

        impl Check {
            /// Its id, which is never given another meaning.
            pub(super) fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }
        }

        /// The ids of all checks, in the order of the documents.
        pub const CHECK_IDS: &[&str] = &[$($id),+];
    };
}

checks! {
    // Of the machine that asks.
    Credentials = "credentials",
    AwsAnswers = "aws_answers",
    Clock = "clock",
    Permission = "permission",
    // Of the cluster and its settings.
    Cluster = "cluster",
    Account = "account",
    Settings = "settings",
    ClusterTags = "cluster_tags",
    Pause = "pause",
    Windows = "windows",
    Freeze = "freeze",
    LeaseTable = "lease_table",
    Alarms = "alarms",
    AlarmState = "alarm_state",
    Events = "events",
    Reports = "reports",
    Documents = "documents",
    Instances = "instances",
    Described = "described",
    Groups = "groups",
    Budget = "budget",
    Release = "release",
    LastRun = "last_run",
    HostItself = "host_itself",
    // Of each host.
    NotOurs = "not_ours",
    Registration = "registration",
    Machine = "machine",
    KnownToEc2 = "known_to_ec2",
    EcsStatus = "ecs_status",
    ForeignDrain = "foreign_drain",
    Agent = "agent",
    Variant = "variant",
    SsmRegistered = "ssm_registered",
    SsmOnline = "ssm_online",
    SsmAgent = "ssm_agent",
    Bridge = "bridge",
    BridgeAgent = "bridge_agent",
    Claim = "claim",
    TagsRoom = "tags_room",
    ExcludeTag = "exclude_tag",
    UnknownTag = "unknown_tag",
    VersionLock = "version_lock",
    LastUpdate = "last_update",
    GroupState = "group_state",
    HealthOfGroup = "group_health_check",
    InstanceRefresh = "instance_refresh",
    ScaleIn = "scale_in",
    Tasks = "tasks",
    Room = "room",
}
