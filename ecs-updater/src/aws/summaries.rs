//! DynamoDB: the summary that a run leaves beside its lease, an item of its own in the same table. A run may write over
//! that of an earlier one, and never over that of a later one.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use models::ids::{ClusterName, Epoch};
use models::summary::{BadSummary, Summary};

use super::client::Aws;
use super::dynamodb::{KEY, number};
use super::error::{AwsError, invalid};

const PUT_ITEM: &str = "dynamodb:PutItem";
const PUT_IF: &str = "attribute_not_exists(#epoch) OR #epoch <= :epoch";
/// The attribute that holds the text.
const TEXT: &str = "summary";

/// Returns the key of the item: no cluster's name has a `#` (ECS API reference, `CreateCluster`), so that it is no lease's.
fn key(cluster: &ClusterName) -> String {
    format!("summary#{cluster}")
}

/// How the writing of a summary ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    /// A later run has written one.
    Superseded,
}

impl Aws {
    /// Reads the summary of the last run on a cluster; `None` where no run has left one.
    pub(crate) async fn summary(
        &self,
        table: &str,
        cluster: &ClusterName,
    ) -> Result<Option<Result<Summary, BadSummary>>, AwsError> {
        let answer = self.item(table, &key(cluster)).await?;
        let Some(item) = answer.item() else { return Ok(None) };
        let text = item.get(TEXT).and_then(|value| value.as_s().ok());
        let none = || BadSummary::Malformed(format!("there is no text {TEXT}"));
        Ok(Some(text.ok_or_else(none).and_then(|text| Summary::read(text))))
    }

    /// Writes the summary of the run that holds the lease with this epoch; from `ttl` on DynamoDB may delete it.
    pub(crate) async fn put_summary(
        &self,
        table: &str,
        cluster: &ClusterName,
        epoch: Epoch,
        ttl: Timestamp,
        summary: Summary,
    ) -> Result<Kept, AwsError> {
        let text = summary.encode().map_err(|error| invalid(PUT_ITEM, &error))?;
        let request = self
            .dynamodb
            .put_item()
            .table_name(table)
            .item(KEY, AttributeValue::S(key(cluster)))
            .item("epoch", number(epoch))
            .item("ttl", number(ttl.as_second()))
            .item(TEXT, AttributeValue::S(text))
            .condition_expression(PUT_IF)
            .expression_attribute_names("#epoch", "epoch")
            .expression_attribute_values(":epoch", number(epoch));
        match request.send().await {
            Ok(_) => Ok(Kept::Yes),
            Err(SdkError::ServiceError(refused))
                if matches!(refused.err(), PutItemError::ConditionalCheckFailedException(_)) =>
            {
                Ok(Kept::Superseded)
            }
            Err(error) => Err(AwsError::from_sdk(PUT_ITEM, error)),
        }
    }
}
