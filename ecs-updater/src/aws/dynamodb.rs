//! DynamoDB: the lease on a cluster. It is written by one action, `UpdateItem` with a condition, so that what is compared
//! and what is written are one step; who only asks reads the item.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use models::ids::{ClusterName, Epoch, RunId};

use super::client::Aws;
use super::error::{AwsError, invalid};
use crate::lease::{Entry, Wanted};

const OPERATION: &str = "dynamodb:UpdateItem";
pub(super) const GET_ITEM: &str = "dynamodb:GetItem";
/// The name of the table's key.
pub(super) const KEY: &str = "lease";

/// Free: never held, or expired and not ours. Ours is renewed under its epoch instead, see [`RENEW`].
const ACQUIRE_IF: &str = "attribute_not_exists(#lease) OR (#expires < :free AND #holder <> :us)";
const ACQUIRE: &str =
    "SET #holder = :us, #expires = :expires, #ttl = :ttl, #epoch = if_not_exists(#epoch, :before) + :one";
const RENEW_IF: &str = "#holder = :us AND #epoch = :epoch";
const RENEW: &str = "SET #expires = :expires, #ttl = :ttl";
const RELEASE: &str = "SET #expires = :expires";

/// How a conditional write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// Done; the item as it is now.
    Done(Entry),
    /// The condition does not hold; the item as it is, where there is one.
    Refused(Option<Entry>),
}

/// Whose lease, on what.
#[derive(Debug, Clone)]
pub(crate) struct LeaseKey {
    pub(crate) table: String,
    pub(crate) cluster: ClusterName,
    pub(crate) us: RunId,
}

impl Aws {
    /// Returns what the table says of a cluster's lease; `None` where no run ever held it.
    pub(crate) async fn lease_entry(&self, table: &str, cluster: &ClusterName) -> Result<Option<Entry>, AwsError> {
        let answer = self.item(table, cluster.as_str()).await?;
        answer.item().map(|item| read(GET_ITEM, |name| item.get(name))).transpose()
    }

    /// Reads an item of the table with the leases.
    pub(super) async fn item(&self, table: &str, key: &str) -> Result<GetItemOutput, AwsError> {
        let call = self.dynamodb.get_item().table_name(table).key(KEY, AttributeValue::S(key.to_owned()));
        call.consistent_read(true).send().await.map_err(|error| AwsError::from_sdk(GET_ITEM, error))
    }

    /// Takes the lease if it is free.
    pub(crate) async fn acquire_lease(&self, key: &LeaseKey, wanted: &Wanted) -> Result<Written, AwsError> {
        let values = [
            (":expires", millis(wanted.expires)),
            (":ttl", number(wanted.ttl.as_second())),
            (":free", millis(wanted.free_before)),
            (":before", number(wanted.before_first)),
            (":one", number(1)),
        ];
        self.write_lease(key, ACQUIRE_IF, ACQUIRE, &["#lease", "#epoch", "#ttl"], values).await
    }

    /// Extends the lease that we hold under this epoch, expired or not, if nobody has taken it.
    pub(crate) async fn renew_lease(&self, key: &LeaseKey, epoch: Epoch, wanted: &Wanted) -> Result<Written, AwsError> {
        let values =
            [(":expires", millis(wanted.expires)), (":ttl", number(wanted.ttl.as_second())), (":epoch", number(epoch))];
        self.write_lease(key, RENEW_IF, RENEW, &["#epoch", "#ttl"], values).await
    }

    /// Gives up the lease that we hold under this epoch; the item and its epoch stay.
    pub(crate) async fn release_lease(&self, key: &LeaseKey, epoch: Epoch) -> Result<Written, AwsError> {
        self.write_lease(key, RENEW_IF, RELEASE, &["#epoch"], [(":expires", number(0)), (":epoch", number(epoch))])
            .await
    }

    /// `names` besides `#holder` and `#expires`, which all use. Every name stands behind a placeholder: `ttl` is a
    /// reserved word, and the list of those grows.
    async fn write_lease<const N: usize>(
        &self,
        key: &LeaseKey,
        condition: &str,
        update: &str,
        names: &[&str],
        values: [(&str, AttributeValue); N],
    ) -> Result<Written, AwsError> {
        let mut request = self
            .dynamodb
            .update_item()
            .table_name(&key.table)
            .key(KEY, AttributeValue::S(key.cluster.as_str().to_owned()))
            .condition_expression(condition)
            .update_expression(update)
            .expression_attribute_values(":us", AttributeValue::S(key.us.as_str().to_owned()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for name in names.iter().chain(&["#holder", "#expires"]) {
            request = request.expression_attribute_names(*name, name.trim_start_matches('#'));
        }
        for (name, value) in values {
            request = request.expression_attribute_values(name, value);
        }
        match request.send().await {
            Ok(answer) => {
                let item = answer.attributes().ok_or_else(|| invalid(OPERATION, &"the answer has no item"))?;
                read(OPERATION, |name| item.get(name)).map(Written::Done)
            }
            Err(SdkError::ServiceError(refused)) => match refused.err() {
                UpdateItemError::ConditionalCheckFailedException(failed) => {
                    failed.item().map(|item| read(OPERATION, |name| item.get(name))).transpose().map(Written::Refused)
                }
                _ => Err(AwsError::from_sdk(OPERATION, SdkError::ServiceError(refused))),
            },
            Err(error) => Err(AwsError::from_sdk(OPERATION, error)),
        }
    }
}

/// Strictly: another program's item under our key must not be taken for a lease.
fn read<'a>(operation: &'static str, get: impl Fn(&str) -> Option<&'a AttributeValue>) -> Result<Entry, AwsError> {
    let wrong = |name: &str| invalid(operation, &format!("the lease's attribute {name} is missing or malformed"));
    let number = |name: &str| get(name).and_then(|value| value.as_n().ok()?.parse::<u64>().ok());
    let holder = get("holder").and_then(|value| value.as_s().ok()).ok_or_else(|| wrong("holder"))?;
    let millis = number("expires").and_then(|millis| i64::try_from(millis).ok()).ok_or_else(|| wrong("expires"))?;
    Ok(Entry {
        holder: holder.as_str().into(),
        epoch: number("epoch").map(Epoch::new).ok_or_else(|| wrong("epoch"))?,
        expires: Timestamp::from_millisecond(millis).map_err(|_| wrong("expires"))?,
    })
}

pub(super) fn number(value: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn millis(time: Timestamp) -> AttributeValue {
    number(time.as_millisecond())
}
