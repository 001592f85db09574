//! The AWS protocols, onto the world: ECS and SSM (JSON 1.1), DynamoDB (JSON 1.0), EC2 and STS (Query in, XML out).
//!
//! An operation or a parameter that is not modelled is a loud error, `SimulatorUnknown…`, and recorded.

mod buckets;
mod calls;
mod dynamodb;
mod ec2;
mod ecs;
mod faults;
pub mod filter;
mod form;
mod gateway;
mod page;
mod params;
mod partial;
mod ssm;
mod sts;
mod xml;

#[cfg(test)]
mod tests;

pub use calls::{Call, Outcome, Signature};
pub(crate) use gateway::Gateway;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::world::World;
pub(crate) use form::Form;
pub(crate) use params::Params;

/// An HTTP request, as much of it as the protocols read.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The `X-Amz-Target` header.
    pub target: Option<String>,
    /// The body.
    pub body: Bytes,
    /// Who asks.
    pub by: Caller,
    /// What the signature says of its maker. Nothing is checked.
    pub signature: Option<Signature>,
}

/// Who makes an AWS call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// The program under test.
    #[default]
    Updater,
    /// The agent on one of the hosts.
    Agent,
}

impl Request {
    /// `service:Operation`.
    pub fn name(&self) -> String {
        Asked::read(self).0.name()
    }
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// `x-amzn-requestid`.
    pub request_id: String,
}

/// The services that are modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// DynamoDB.
    Dynamodb,
    /// Elastic Container Service.
    Ecs,
    /// Elastic Compute Cloud.
    Ec2,
    /// Systems Manager.
    Ssm,
    /// Security Token Service.
    Sts,
    /// A service that is not modelled.
    Unknown,
}

impl Service {
    /// As in IAM actions and in reports.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Dynamodb => "dynamodb",
            Self::Ecs => "ecs",
            Self::Ec2 => "ec2",
            Self::Ssm => "ssm",
            Self::Sts => "sts",
            Self::Unknown => "unknown",
        }
    }
}

/// Every operation that is modelled.
pub(crate) const OPERATIONS: [&str; 26] = [
    "dynamodb:UpdateItem",
    "ec2:CreateTags",
    "ec2:DeleteTags",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstances",
    "ecs:DeleteAttributes",
    "ecs:DescribeClusters",
    "ecs:DescribeContainerInstances",
    "ecs:DescribeServices",
    "ecs:DescribeTasks",
    "ecs:GetTaskProtection",
    "ecs:ListAttributes",
    "ecs:ListClusters",
    "ecs:ListContainerInstances",
    "ecs:ListServices",
    "ecs:ListTasks",
    "ecs:PutAttributes",
    "ecs:StopTask",
    "ecs:UpdateContainerInstancesState",
    "ssm:DescribeInstanceInformation",
    "ssm:GetCommandInvocation",
    "ssm:GetParameter",
    "ssm:ListCommandInvocations",
    "ssm:SendCommand",
    "sts:GetCallerIdentity",
];

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What the body of the error has besides.
    pub(crate) more: Map<String, Value>,
}

impl Failure {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into(), more: Map::new() }
    }

    /// Something that the simulator does not model.
    pub(crate) fn unknown(what: &str, message: impl Into<String>) -> Self {
        Self::new(&format!("{UNKNOWN}{what}"), message)
    }

    pub(crate) fn is_unknown(&self) -> bool {
        self.code.starts_with(UNKNOWN)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }
}

const UNKNOWN: &str = "SimulatorUnknown";

/// A request, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) service: Service,
    pub(crate) operation: String,
    pub(crate) body: Body,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Json(Params),
    Form(Form),
}

impl Asked {
    /// Takes a request apart.
    pub(crate) fn read(request: &Request) -> (Self, Option<Failure>) {
        match &request.target {
            Some(target) => Self::read_json(target, &request.body),
            None => Self::read_form(&request.body),
        }
    }

    fn read_json(target: &str, body: &[u8]) -> (Self, Option<Failure>) {
        let (name, operation) = target.split_once('.').unwrap_or((target, ""));
        let (service, mut failure) = match name {
            "AmazonEC2ContainerServiceV20141113" => (Service::Ecs, None),
            "AmazonSSM" => (Service::Ssm, None),
            "DynamoDB_20120810" => (Service::Dynamodb, None),
            _ => (Service::Unknown, Some(Failure::unknown("Service", format!("target {target} is not modelled")))),
        };
        let params = match serde_json::from_slice::<Value>(if body.is_empty() { b"{}" } else { body }) {
            Ok(Value::Object(map)) => Params::new(map),
            Ok(_) | Err(_) => {
                failure.get_or_insert(Failure::new("SerializationException", "the body is no JSON object"));
                Params::default()
            }
        };
        (Self { service, operation: operation.to_owned(), body: Body::Json(params) }, failure)
    }

    fn read_form(body: &[u8]) -> (Self, Option<Failure>) {
        let mut form = Form::read(body);
        let action = form.take("Action").unwrap_or_default();
        let version = form.take("Version").unwrap_or_default();
        let (service, failure) = match version.as_str() {
            "2016-11-15" => (Service::Ec2, None),
            "2011-06-15" => (Service::Sts, None),
            _ => {
                let message = format!("API version {version:?} with action {action:?} is not modelled");
                (Service::Unknown, Some(Failure::unknown("Service", message)))
            }
        };
        (Self { service, operation: action, body: Body::Form(form) }, failure)
    }

    /// A line for the log: parameters, cut.
    pub(crate) fn summary(&self) -> String {
        const MOST: usize = 200;
        let text = match &self.body {
            Body::Json(params) => params.summary(),
            Body::Form(form) => form.summary(),
        };
        match text.char_indices().nth(MOST) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text,
        }
    }

    /// Whether it is asked, and wants to be answered, in XML's way.
    pub(crate) fn is_query(&self) -> bool {
        matches!(self.body, Body::Form(_))
    }

    /// `service:Operation`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.service.prefix(), self.operation)
    }
}

/// Does what was asked, on the world.
pub(crate) fn perform(world: &mut World, asked: Asked) -> Result<Answer, Failure> {
    match (asked.service, asked.body) {
        (Service::Dynamodb, Body::Json(params)) => dynamodb::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Ecs, Body::Json(params)) => ecs::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Ssm, Body::Json(params)) => ssm::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Ec2, Body::Form(form)) => ec2::perform(world, &asked.operation, form).map(Answer::Xml),
        (Service::Sts, Body::Form(form)) => sts::perform(world, &asked.operation, &form).map(Answer::Xml),
        (_, Body::Json(_) | Body::Form(_)) => {
            Err(Failure::unknown("Protocol", "this service is not asked in this protocol"))
        }
    }
}

/// What an operation gives.
#[derive(Debug)]
pub(crate) enum Answer {
    Json(Value),
    Xml(String),
}

/// The HTTP answer.
pub(crate) fn respond(
    service: Service,
    is_query: bool,
    result: Result<Answer, Failure>,
    request_id: String,
) -> Response {
    let content_type = match (service, is_query) {
        (_, true) => "text/xml;charset=UTF-8",
        (Service::Dynamodb, false) => "application/x-amz-json-1.0",
        (Service::Ecs | Service::Ec2 | Service::Ssm | Service::Sts | Service::Unknown, false) => {
            "application/x-amz-json-1.1"
        }
    };
    let (status, body) = match result {
        Ok(Answer::Json(value)) => (200, value.to_string()),
        Ok(Answer::Xml(body)) => (200, body),
        Err(failure) if failure.code.is_empty() => (failure.status, failure.message),
        Err(failure) if is_query => (failure.status, xml::error(service, &failure, &request_id)),
        Err(failure) => {
            let kind = match service {
                Service::Dynamodb => format!("com.amazonaws.dynamodb.v20120810#{}", failure.code),
                Service::Ecs | Service::Ec2 | Service::Ssm | Service::Sts | Service::Unknown => failure.code,
            };
            let mut body = failure.more;
            body.extend([("__type".to_owned(), json!(kind)), ("message".to_owned(), json!(failure.message))]);
            (failure.status, Value::Object(body).to_string())
        }
    };
    Response { status, content_type, body, request_id }
}
