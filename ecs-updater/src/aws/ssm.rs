//! SSM: whether hosts are reachable, and Run Command.

use std::collections::BTreeMap;

use aws_sdk_ssm::primitives::DateTime;
use aws_sdk_ssm::types::{CommandInvocation, InstanceInformationStringFilter};
use jiff::SignedDuration;
use models::clean;
use models::ids::HostId;

use super::client::Aws;
use super::error::{AwsError, invalid};
use super::halving::{Parts, halving};
use super::limits::Bucket;

/// One host's part of a command.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) host: HostId,
    /// `Pending`, `InProgress`, `Delayed`, `Success`, `Failed`, `TimedOut`, `Cancelled`, `Cancelling`.
    pub(crate) status: String,
    /// Finer: `DeliveryTimedOut`, `ExecutionTimedOut`, `Undeliverable`, `Terminated`, `AccessDenied`, …
    pub(crate) details: String,
    /// What the document's one step printed, cut at 2,500 characters.
    pub(crate) output: String,
    /// From the request to the end of the step, by the times that SSM gives.
    pub(crate) took: Option<SignedDuration>,
}

impl Invocation {
    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "Success" | "Failed" | "TimedOut" | "Cancelled")
    }
}

/// What SSM says of a host's agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SsmAgent {
    /// `PingStatus`: `Online`, `ConnectionLost` or `Inactive`.
    pub(crate) ping: String,
    /// `AgentVersion`, such as `3.3.987.0`.
    pub(crate) version: Option<String>,
}

impl SsmAgent {
    /// Whether a command reaches it.
    pub(crate) fn is_online(&self) -> bool {
        self.ping == "Online"
    }
}

/// A document, and what SSM is told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    pub(crate) document: &'a str,
    pub(crate) parameters: &'a BTreeMap<&'static str, String>,
    /// How long a host may take to fetch it.
    pub(crate) delivery_s: i32,
    pub(crate) comment: &'a str,
}

/// Limits of the API (Systems Manager API reference).
pub(crate) const SEND_COMMAND: usize = 50;
const INFORMATION: usize = 50;

impl Aws {
    /// What SSM says of the agents of these hosts; those that it does not know are left out of the answers.
    pub(crate) async fn agents(&self, hosts: &[HostId]) -> Parts<HostId, BTreeMap<HostId, SsmAgent>> {
        halving(hosts, INFORMATION, async |part| self.describe_information(part).await).await
    }

    async fn describe_information(&self, hosts: &[HostId]) -> Result<BTreeMap<HostId, SsmAgent>, AwsError> {
        let filter = InstanceInformationStringFilter::builder()
            .key("InstanceIds")
            .set_values(Some(hosts.iter().map(|host| host.as_str().to_owned()).collect()))
            .build()
            .map_err(|error| invalid("ssm:DescribeInstanceInformation", &error))?;
        let mut pages =
            self.ssm.describe_instance_information().filters(filter).max_results(50).into_paginator().send();
        let mut known = BTreeMap::new();
        while let Some(page) = self.paced(Bucket::SsmInformation, pages.next()).await {
            let page = page.map_err(|error| AwsError::from_sdk("ssm:DescribeInstanceInformation", error))?;
            let last = page.next_token.is_none();
            for information in page.instance_information_list() {
                if let (Some(id), Some(ping)) = (information.instance_id(), information.ping_status()) {
                    let version = information.agent_version().map(clean::name);
                    known.insert(id.into(), SsmAgent { ping: clean::name(ping.as_str()), version });
                }
            }
            if last {
                break;
            }
        }
        Ok(known)
    }

    /// Sends a document to at most [`SEND_COMMAND`] hosts; returns the command's id.
    pub(crate) async fn send_command(&self, command: Command<'_>, hosts: &[HostId]) -> Result<String, AwsError> {
        let Command { document, parameters, delivery_s, comment } = command;
        let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), vec![value.clone()])).collect();
        self.pace(Bucket::SsmSend).await;
        let answer = self
            .ssm
            .send_command()
            .document_name(document)
            .set_instance_ids(Some(hosts.iter().map(|host| host.as_str().to_owned()).collect()))
            .set_parameters(Some(parameters))
            .timeout_seconds(delivery_s)
            .comment(comment)
            .send()
            .await
            .map_err(|error| AwsError::from_sdk("ssm:SendCommand", error))?;
        answer
            .command()
            .and_then(|command| command.command_id())
            .map(str::to_owned)
            .ok_or_else(|| invalid("ssm:SendCommand", &"the answer has no command id"))
    }

    /// Every host's part of a command.
    pub(crate) async fn invocations(&self, command: &str) -> Result<Vec<Invocation>, AwsError> {
        let mut pages = self
            .ssm
            .list_command_invocations()
            .command_id(command)
            .details(true)
            .max_results(50)
            .into_paginator()
            .send();
        let mut invocations = Vec::new();
        while let Some(page) = self.paced(Bucket::SsmInvocations, pages.next()).await {
            let page = page.map_err(|error| AwsError::from_sdk("ssm:ListCommandInvocations", error))?;
            let last = page.next_token.is_none();
            invocations.extend(page.command_invocations().iter().filter_map(|invocation| {
                let output = invocation.command_plugins().iter().filter_map(|plugin| plugin.output()).collect();
                Some(Invocation {
                    host: invocation.instance_id()?.into(),
                    status: invocation.status().map_or(String::new(), |status| clean::name(status.as_str())),
                    details: clean::name(invocation.status_details().unwrap_or_default()),
                    output,
                    took: took(invocation),
                })
            }));
            if last {
                break;
            }
        }
        Ok(invocations)
    }
}

/// `RequestedDateTime` to the last `ResponseFinishDateTime`; `None` where one of them is missing.
fn took(invocation: &CommandInvocation) -> Option<SignedDuration> {
    let ends = invocation.command_plugins().iter().filter_map(|plugin| plugin.response_finish_date_time());
    let millis = |time: &DateTime| time.to_millis().ok();
    let (began, ended) = (invocation.requested_date_time().and_then(millis)?, ends.filter_map(millis).max()?);
    Some(SignedDuration::from_millis(ended.checked_sub(began)?))
}
