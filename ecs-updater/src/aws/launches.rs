//! What Auto Scaling groups launch today.
//!
//! An image stands, by precedence, in an override of the group's mixed instances policy, in the override's own launch template, in
//! the policy's, in the group's, or in its launch configuration (docs/facts/auto-scaling.md#what-a-group-launches).

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateOverrides, LaunchTemplateSpecification};
use models::clean;
use models::ids::ImageId;
use models::report::{LaunchImage, LaunchReport};

use super::auto_scaling::MOST_NAMED;
use super::client::Aws;
use super::error::{AwsError, ErrorKind};
use super::limits::Bucket;

const TEMPLATES: &str = "ec2:DescribeLaunchTemplateVersions";
const CONFIGURATIONS: &str = "autoscaling:DescribeLaunchConfigurations";
/// The version that a group takes that names none (EC2 Auto Scaling API reference).
const DEFAULT: &str = "$Default";

/// Where an image stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// In the override for this type.
    Override {
        of: String,
        image: String,
    },
    Template {
        id: Option<String>,
        name: Option<String>,
        version: String,
    },
    Configuration(String),
}

/// What a look at the source of an image gave: the image, or why it is not known.
type Found = Result<ImageId, String>;

impl Aws {
    /// Returns what each of these groups launches today.
    pub(crate) async fn launches(&self, groups: &BTreeSet<String>) -> Result<BTreeMap<String, LaunchReport>, AwsError> {
        let (mut launches, mut known) = (BTreeMap::new(), BTreeMap::new());
        for group in self.groups_without_instances(groups).await? {
            let Some(name) = group.auto_scaling_group_name() else { continue };
            let mut report = LaunchReport { besides: besides(&group), ..LaunchReport::default() };
            for source in sources(&group) {
                let found = match known.get(&source) {
                    Some(found) => Found::clone(found),
                    None => self.image_of(&source).await?,
                };
                match &found {
                    Ok(image) => {
                        report.images.push(LaunchImage { from: source.words(), image: image.clone(), version: None })
                    }
                    Err(why) => report.unknown = Some(format!("{}: {why}", source.words())),
                }
                known.insert(source, found);
            }
            launches.insert(clean::name(name), report);
        }
        Ok(launches)
    }

    async fn groups_without_instances(&self, groups: &BTreeSet<String>) -> Result<Vec<AutoScalingGroup>, AwsError> {
        let names: Vec<String> = groups.iter().cloned().collect();
        let mut found = Vec::new();
        for chunk in names.chunks(MOST_NAMED) {
            let mut token = None;
            loop {
                self.pace(Bucket::AutoScalingRead).await;
                let call = self.autoscaling.describe_auto_scaling_groups().include_instances(false);
                let call = call.set_auto_scaling_group_names(Some(chunk.to_vec())).set_next_token(token);
                let answer = call.send().await;
                let answer =
                    answer.map_err(|error| AwsError::from_sdk("autoscaling:DescribeAutoScalingGroups", error))?;
                token = answer.next_token.filter(|token| !token.is_empty());
                found.extend(answer.auto_scaling_groups.unwrap_or_default());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// What may not be read, or is not there any more, is told and no error.
    async fn image_of(&self, source: &Source) -> Result<Found, AwsError> {
        let (image, needs) = match source {
            Source::Override { image, .. } => return Ok(Ok(ImageId::new(image.as_str()))),
            Source::Template { id, name, version } => (
                self.image_of_template(id.clone(), name.clone(), version).await,
                "ec2:DescribeLaunchTemplateVersions, and ssm:GetParameters on the parameter that an image comes from",
            ),
            Source::Configuration(name) => (self.image_of_configuration(name).await, CONFIGURATIONS),
        };
        match image {
            Ok(Some(image)) if image.starts_with("ami-") => Ok(Ok(ImageId::new(image.as_str()))),
            Ok(Some(image)) => Ok(Err(format!("its image is {}", clean::name(&image)))),
            Ok(None) => Ok(Err("it names no image".to_owned())),
            Err(error) if error.is_missing_right() => Ok(Err(format!("{error}; give the task role {needs}"))),
            Err(error) if matches!(error.kind, ErrorKind::Refused(_) | ErrorKind::NotFound) => {
                Ok(Err(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    async fn image_of_template(
        &self,
        id: Option<String>,
        name: Option<String>,
        version: &str,
    ) -> Result<Option<String>, AwsError> {
        self.pace(Bucket::Ec2Read).await;
        let call = self.ec2.describe_launch_template_versions().versions(version).resolve_alias(true);
        // One of the two: with both the call is refused.
        let name = name.filter(|_| id.is_none());
        let answer = call.set_launch_template_id(id).set_launch_template_name(name).send().await;
        let answer = answer.map_err(|error| AwsError::from_sdk(TEMPLATES, error))?;
        let data = answer.launch_template_versions().first().and_then(|version| version.launch_template_data());
        Ok(data.and_then(|data| data.image_id()).map(str::to_owned))
    }

    async fn image_of_configuration(&self, name: &str) -> Result<Option<String>, AwsError> {
        self.pace(Bucket::AutoScalingRead).await;
        let call = self.autoscaling.describe_launch_configurations().launch_configuration_names(name);
        let answer = call.send().await.map_err(|error| AwsError::from_sdk(CONFIGURATIONS, error))?;
        Ok(answer.launch_configurations().first().and_then(|one| one.image_id()).map(str::to_owned))
    }
}

impl Source {
    fn of(specification: &LaunchTemplateSpecification) -> Self {
        let version = specification.version().filter(|version| !version.is_empty()).unwrap_or(DEFAULT);
        Self::Template {
            id: specification.launch_template_id().map(str::to_owned),
            name: specification.launch_template_name().map(str::to_owned),
            version: version.to_owned(),
        }
    }

    /// Where a person finds it.
    fn words(&self) -> String {
        match self {
            Self::Override { of, .. } => format!("the override of {}", clean::name(of)),
            Self::Template { id, name, version } => {
                let name = name.as_ref().or(id.as_ref()).map_or("without a name", String::as_str);
                format!("version {} of the launch template {}", clean::name(version), clean::name(name))
            }
            Self::Configuration(name) => format!("the launch configuration {}", clean::name(name)),
        }
    }
}

/// Each place that the group takes an image from, once.
fn sources(group: &AutoScalingGroup) -> BTreeSet<Source> {
    let Some(template) = group.mixed_instances_policy().and_then(|policy| policy.launch_template()) else {
        let template = group.launch_template().map(Source::of);
        let configuration = || group.launch_configuration_name().map(|name| Source::Configuration(name.to_owned()));
        return template.or_else(configuration).into_iter().collect();
    };
    let of_all = template.launch_template_specification().map(Source::of);
    let of_one = |one: &LaunchTemplateOverrides| {
        let image = one.image_id().filter(|image| !image.is_empty());
        let own = image.map(|image| Source::Override {
            of: one.instance_type().unwrap_or("some types").to_owned(),
            image: image.to_owned(),
        });
        own.or_else(|| one.launch_template_specification().map(Source::of)).or_else(|| of_all.clone())
    };
    if template.overrides().is_empty() {
        of_all.into_iter().collect()
    } else {
        template.overrides().iter().filter_map(of_one).collect()
    }
}

/// What the group launches beside that.
fn besides(group: &AutoScalingGroup) -> Option<String> {
    let has_pool = group.warm_pool_configuration().is_some() || group.warm_pool_size().is_some_and(|size| size > 0);
    has_pool.then(|| "its warm pool, whose instances are as old as when the pool was filled".to_owned())
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{LaunchTemplate, MixedInstancesPolicy};

    use super::*;

    fn template(name: &str, version: Option<&str>) -> LaunchTemplateSpecification {
        let version = version.map(str::to_owned);
        LaunchTemplateSpecification::builder().launch_template_name(name).set_version(version).build()
    }

    #[test]
    fn the_image_stands_in_what_comes_first() {
        let group = AutoScalingGroup::builder;
        let policy = |overrides: Vec<LaunchTemplateOverrides>| {
            let all = template("all", Some("3"));
            let launch = LaunchTemplate::builder().launch_template_specification(all).set_overrides(Some(overrides));
            group().mixed_instances_policy(MixedInstancesPolicy::builder().launch_template(launch.build()).build())
        };
        let one = || LaunchTemplateOverrides::builder().instance_type("m6i.large");
        let both = one().image_id("ami-1").launch_template_specification(template("own", None));
        let table = [
            (group().launch_template(template("web", None)), vec!["version $Default of the launch template web"]),
            (
                group().launch_template(template("web", Some("$Latest"))),
                vec!["version $Latest of the launch template web"],
            ),
            (group().launch_configuration_name("old"), vec!["the launch configuration old"]),
            (policy(vec![]), vec!["version 3 of the launch template all"]),
            (policy(vec![one().build(), one().build()]), vec!["version 3 of the launch template all"]),
            (
                policy(vec![both.build(), one().launch_template_specification(template("own", Some(""))).build()]),
                vec!["the override of m6i.large", "version $Default of the launch template own"],
            ),
            (group(), vec![]),
        ];
        for (group, expected) in table {
            let found: Vec<String> = sources(&group.build()).iter().map(Source::words).collect();
            assert_eq!(found, expected);
        }
    }
}
