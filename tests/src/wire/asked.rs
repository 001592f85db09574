//! Takes a request apart: service, operation and parameters.

use serde_json::Value;

use super::cloudwatch;
use super::failure::Failure;
use super::form::Form;
use super::params::Params;
use super::request::{Request, Rest};
use super::s3;
use super::service::Service;

/// The parameter under which the function stands that the path of a call names.
pub(super) const FUNCTION_NAME: &str = "FunctionName";

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
    Rest(Rest),
}

impl Asked {
    /// Takes a request apart.
    pub(crate) fn read(request: &Request) -> (Self, Option<Failure>) {
        if let Some(function) = &request.function {
            return Self::read_call(function, &request.body);
        }
        match (&request.target, &request.rest) {
            (Some(target), _) if request.is_cbor => Self::read_cbor(target, &request.body),
            (Some(target), _) => Self::read_json(target, &request.body),
            (None, Some(rest)) => {
                let body = Body::Rest(Rest { body: request.body.clone(), ..rest.clone() });
                (Self { service: Service::S3, operation: s3::operation(rest), body }, None)
            }
            (None, None) => Self::read_form(&request.body),
        }
    }

    fn read_json(target: &str, body: &[u8]) -> (Self, Option<Failure>) {
        let (name, operation) = target.split_once('.').unwrap_or((target, ""));
        let (service, mut failure) = match name {
            "AmazonEC2ContainerServiceV20141113" => (Service::Ecs, None),
            "AmazonSSM" => (Service::Ssm, None),
            "AWSEvents" => (Service::Events, None),
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

    /// The call of a function: what it is given stands beside its name.
    fn read_call(function: &str, body: &[u8]) -> (Self, Option<Failure>) {
        let (mut params, failure) = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(map)) => (Params::new(map), None),
            Ok(_) | Err(_) => {
                let failure = Failure::new("InvalidRequestContentException", "Could not parse request body into json");
                (Params::default(), Some(failure))
            }
        };
        params.put(FUNCTION_NAME, function.into());
        (Self { service: Service::Lambda, operation: "Invoke".to_owned(), body: Body::Json(params) }, failure)
    }

    fn read_cbor(target: &str, body: &[u8]) -> (Self, Option<Failure>) {
        let (name, operation) = target.split_once('.').unwrap_or((target, ""));
        let (service, mut failure) = match name {
            cloudwatch::TARGET => (Service::CloudWatch, None),
            _ => (Service::Unknown, Some(Failure::unknown("Service", format!("target {target} is not modelled")))),
        };
        let params = cloudwatch::read(body).unwrap_or_else(|error| {
            failure.get_or_insert(Failure::new("SerializationException", error.to_string()));
            Params::default()
        });
        (Self { service, operation: operation.to_owned(), body: Body::Json(params) }, failure)
    }

    fn read_form(body: &[u8]) -> (Self, Option<Failure>) {
        let mut form = Form::read(body);
        let action = form.take("Action").unwrap_or_default();
        let version = form.take("Version").unwrap_or_default();
        let (service, failure) = match version.as_str() {
            "2016-11-15" => (Service::Ec2, None),
            "2011-01-01" => (Service::AutoScaling, None),
            "2011-06-15" => (Service::Sts, None),
            _ => {
                let message = format!("API version {version:?} with action {action:?} is not modelled");
                (Service::Unknown, Some(Failure::unknown("Service", message)))
            }
        };
        (Self { service, operation: action, body: Body::Form(form) }, failure)
    }

    /// Returns the ids of the instances that a call changes tags of, or sends a command to.
    pub(super) fn ec2_instances(&self) -> Vec<String> {
        match &self.body {
            Body::Form(form) if matches!(self.operation.as_str(), "CreateTags" | "DeleteTags") => {
                form.clone().list("ResourceId")
            }
            Body::Json(params) if self.operation == "SendCommand" => params.peek_texts("InstanceIds"),
            Body::Json(_) | Body::Form(_) | Body::Rest(_) => Vec::new(),
        }
    }

    /// Returns the names of the Auto Scaling groups that a call is about.
    pub(super) fn groups(&self) -> Vec<String> {
        let Body::Form(form) = &self.body else { return Vec::new() };
        if self.service != Service::AutoScaling {
            return Vec::new();
        }
        let mut form = form.clone();
        let mut groups = form.list("AutoScalingGroupNames.member");
        groups.extend(form.take("AutoScalingGroupName"));
        groups.extend(form.members("Tags.member").into_values().filter_map(|mut tag| tag.take("ResourceId")));
        groups
    }

    /// Returns all parameters as one line.
    pub(super) fn text(&self) -> String {
        match &self.body {
            Body::Json(params) => params.summary(),
            Body::Form(form) => form.summary(),
            Body::Rest(rest) => {
                let ((bucket, key), length) = (s3::place(rest), rest.body.len());
                format!("{{\"Bucket\":\"{bucket}\",\"Key\":\"{key}\",\"ContentLength\":{length}}}")
            }
        }
    }

    /// Returns the ARN of what `TagResource` tags.
    pub(super) fn tagged(&self) -> Option<String> {
        match &self.body {
            Body::Json(params) if self.operation == "TagResource" => params.peek_text("resourceArn"),
            Body::Json(_) | Body::Form(_) | Body::Rest(_) => None,
        }
    }

    /// A line for the log: parameters, cut.
    pub(crate) fn summary(&self) -> String {
        const MOST: usize = 200;
        let text = self.text();
        match text.char_indices().nth(MOST) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text,
        }
    }

    /// Whether it is asked, and wants to be answered, in XML's way.
    pub(crate) fn is_query(&self) -> bool {
        matches!(self.body, Body::Form(_) | Body::Rest(_))
    }

    /// Returns the name of the operation: `service:Operation`.
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.service.prefix(), self.operation)
    }
}

impl Request {
    /// Returns the name of its operation: `service:Operation`.
    pub fn name(&self) -> String {
        Asked::read(self).0.name()
    }
}
