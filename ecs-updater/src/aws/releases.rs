//! When releases were published: the images that AWS makes of them (EC2), and the public parameters that name these (SSM).

use std::collections::BTreeMap;

use aws_sdk_ec2::types::Filter;
use jiff::Timestamp;

use super::client::Aws;
use super::error::AwsError;
use super::limits::Bucket;

/// Values of one filter (EC2 user guide, "Filter your resources").
const FILTER_VALUES: usize = 200;
/// Names in one call (Systems Manager API reference, `GetParameters`).
const NAMES: usize = 10;
/// The owner of AWS's own images. A name is anybody's, who may make an image public.
const OWNER: &str = "amazon";

/// An image of AWS's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatedImage {
    pub(crate) name: String,
    /// `CreationDate` in this Region, as text.
    pub(crate) created: String,
}

impl Aws {
    /// The images of AWS's own whose names are like these, with `*` for any text; deprecated ones too.
    pub(crate) async fn images_named(&self, patterns: &[String]) -> Result<Vec<DatedImage>, AwsError> {
        let mut images = Vec::new();
        for chunk in patterns.chunks(FILTER_VALUES) {
            let filter = Filter::builder().name("name").set_values(Some(chunk.to_vec())).build();
            let mut token = None;
            loop {
                self.pace(Bucket::Ec2Read).await;
                let answer = self
                    .ec2
                    .describe_images()
                    .owners(OWNER)
                    .filters(filter.clone())
                    .include_deprecated(true)
                    .set_next_token(token)
                    .send()
                    .await
                    .map_err(|error| AwsError::from_sdk("ec2:DescribeImages", error))?;
                images.extend(answer.images().iter().filter_map(|image| {
                    let (name, created) = (image.name()?.to_owned(), image.creation_date()?.to_owned());
                    Some(DatedImage { name, created })
                }));
                token = answer.next_token.filter(|token| !token.is_empty());
                if token.is_none() {
                    break;
                }
            }
        }
        Ok(images)
    }

    /// When these parameters were last modified; those that are not there are left out.
    pub(crate) async fn parameters_modified(&self, names: &[String]) -> Result<BTreeMap<String, Timestamp>, AwsError> {
        let mut modified = BTreeMap::new();
        for chunk in names.chunks(NAMES) {
            let answer = self
                .ssm
                .get_parameters()
                .set_names(Some(chunk.to_vec()))
                .send()
                .await
                .map_err(|error| AwsError::from_sdk("ssm:GetParameters", error))?;
            modified.extend(answer.parameters().iter().filter_map(|parameter| {
                let at = Timestamp::from_second(parameter.last_modified_date()?.secs()).ok()?;
                Some((parameter.name()?.to_owned(), at))
            }));
        }
        Ok(modified)
    }
}
