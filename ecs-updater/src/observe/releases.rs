//! When releases were published, as far as AWS says: hosts do not tell.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use models::release::{Release, ReleaseDate};

use crate::aws::Aws;

/// How long the answer of one service is waited for. Nothing is under way that could not wait so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks when these releases were published: by the images that AWS makes of them, and for those that have none in this
/// Region, by the public parameters that name the images
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-bottlerocket-retrieve-ami.html>).
pub(crate) async fn dates(aws: &Aws, releases: &[Release], now: Timestamp) -> BTreeMap<Release, ReleaseDate> {
    let mut published: BTreeMap<Release, Timestamp> = BTreeMap::new();
    let by_image = match tokio::time::timeout(PATIENCE, of_images(aws, releases)).await {
        Ok(Ok(dates)) => {
            published.extend(dates);
            "there is no image of it by AWS in this Region".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("ec2:DescribeImages: no answer within {} s", PATIENCE.as_secs()),
    };
    let left: Vec<&Release> = releases.iter().filter(|release| !published.contains_key(*release)).collect();
    let mut by_parameter = "nor a public parameter for one".to_owned();
    if !left.is_empty() {
        match tokio::time::timeout(PATIENCE, of_parameters(aws, &left)).await {
            Ok(Ok(dates)) => published.extend(dates),
            Ok(Err(error)) => by_parameter = error.to_string(),
            Err(_) => by_parameter = format!("ssm:GetParameters: no answer within {} s", PATIENCE.as_secs()),
        }
    }
    let date = |release: &Release| {
        let published = published.get(release).copied().ok_or_else(|| format!("{by_image}; {by_parameter}"));
        (release.clone(), ReleaseDate { asked_at: now, published })
    };
    releases.iter().map(date).collect()
}

/// Of several images of a release the youngest counts.
async fn of_images(aws: &Aws, releases: &[Release]) -> Result<BTreeMap<Release, Timestamp>, crate::aws::AwsError> {
    let patterns: Vec<String> = releases.iter().map(|release| format!("{}*", image_prefix(release))).collect();
    let images = aws.images_named(&patterns).await?;
    let youngest = |release: &Release| {
        let prefix = image_prefix(release);
        let dated = images.iter().filter(|image| image.name.starts_with(&prefix));
        Some((release.clone(), dated.filter_map(|image| image.created.parse().ok()).max()?))
    };
    Ok(releases.iter().filter_map(youngest).collect())
}

async fn of_parameters(aws: &Aws, releases: &[&Release]) -> Result<BTreeMap<Release, Timestamp>, crate::aws::AwsError> {
    let names: Vec<String> = releases.iter().map(|release| parameter(release)).collect();
    let modified = aws.parameters_modified(&names).await?;
    let date = |(release, name): (&&Release, &String)| Some(((*release).clone(), *modified.get(name)?));
    Ok(releases.iter().zip(&names).filter_map(date).collect())
}

/// How the name of a release's image begins; the commit that it was built from follows
/// (<https://github.com/bottlerocket-os/bottlerocket/blob/develop/tools/pubsys/policies/ssm/README.md>).
fn image_prefix(Release { variant, arch, version }: &Release) -> String {
    format!("bottlerocket-{variant}-{arch}-v{version}-")
}

/// The name of its public parameter, in which an architecture is called as EC2 calls it (the same page).
fn parameter(Release { variant, arch, version }: &Release) -> String {
    let arch = if arch == "aarch64" { "arm64" } else { arch.as_str() };
    format!("/aws/service/bottlerocket/{variant}/{arch}/{version}/image_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_releases() {
        let table = [
            (
                "aws-ecs-2/x86_64/1.42.0",
                "bottlerocket-aws-ecs-2-x86_64-v1.42.0-",
                "/aws/service/bottlerocket/aws-ecs-2/x86_64/1.42.0/image_id",
            ),
            (
                "aws-ecs-2-nvidia/aarch64/1.42.0",
                "bottlerocket-aws-ecs-2-nvidia-aarch64-v1.42.0-",
                "/aws/service/bottlerocket/aws-ecs-2-nvidia/arm64/1.42.0/image_id",
            ),
        ];
        for (release, prefix, name) in table {
            let release: Release = release.parse().unwrap();
            assert_eq!((image_prefix(&release).as_str(), parameter(&release).as_str()), (prefix, name));
        }
    }
}
