//! From an operation to what does it, and from what comes of it to an answer.

use serde_json::{Value, json};

use super::asked::{Asked, Body};
use super::failure::Failure;
use super::request::Response;
use super::service::Service;
use super::{autoscaling, cloudwatch, dynamodb, ec2, ecs, events, s3, ssm, sts, xml};
use crate::world::World;

/// Does what was asked, on the world.
pub(crate) fn perform(world: &mut World, asked: Asked) -> Result<Answer, Failure> {
    if let (Service::S3, Body::Rest(rest)) = (asked.service, &asked.body) {
        return s3::perform(world, &asked.operation, rest).map(Answer::Xml);
    }
    match (asked.service, asked.body) {
        (Service::CloudWatch, Body::Json(params)) => {
            cloudwatch::perform(world, &asked.operation, params).map(Answer::Cbor)
        }
        (Service::Dynamodb, Body::Json(params)) => dynamodb::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Ecs, Body::Json(params)) => ecs::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Events, Body::Json(params)) => events::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Ssm, Body::Json(params)) => ssm::perform(world, &asked.operation, params).map(Answer::Json),
        (Service::Ec2, Body::Form(form)) => ec2::perform(world, &asked.operation, form).map(Answer::Xml),
        (Service::AutoScaling, Body::Form(form)) => {
            autoscaling::perform(world, &asked.operation, form).map(Answer::Xml)
        }
        (Service::Sts, Body::Form(form)) => sts::perform(world, &asked.operation, &form).map(Answer::Xml),
        (_, Body::Json(_) | Body::Form(_) | Body::Rest(_)) => {
            Err(Failure::unknown("Protocol", "this service is not asked in this protocol"))
        }
    }
}

/// What an operation gives.
#[derive(Debug)]
pub(crate) enum Answer {
    Json(Value),
    Xml(String),
    Cbor(Vec<u8>),
    /// What a function of Lambda returns, and of which kind its error is.
    Function {
        body: Vec<u8>,
        error: Option<&'static str>,
    },
}

/// The HTTP answer.
pub(crate) fn respond(
    service: Service,
    is_query: bool,
    result: Result<Answer, Failure>,
    request_id: String,
) -> Response {
    let content_type = match (service, is_query) {
        (Service::S3, _) => "application/xml",
        (_, true) => "text/xml;charset=UTF-8",
        (Service::CloudWatch, false) => "application/cbor",
        (Service::Dynamodb, false) => "application/x-amz-json-1.0",
        (
            Service::AutoScaling
            | Service::Ecs
            | Service::Events
            | Service::Ec2
            | Service::Ssm
            | Service::Sts
            | Service::Unknown,
            false,
        ) => "application/x-amz-json-1.1",
        (Service::Lambda, false) => "application/json",
    };
    let error_type = result.as_ref().err().filter(|_| service == Service::Lambda).map(|failure| failure.code.clone());
    let mut function_error = None;
    let (status, body) = match result {
        Ok(Answer::Function { body, error }) => {
            function_error = error;
            (200, body)
        }
        Ok(Answer::Json(value)) => (200, value.to_string().into_bytes()),
        Ok(Answer::Xml(body)) => (200, body.into_bytes()),
        Ok(Answer::Cbor(body)) => (200, body),
        Err(failure) if failure.code.is_empty() => (failure.status, failure.message.into_bytes()),
        Err(failure) if service == Service::S3 => (failure.status, s3::error(&failure, &request_id).into_bytes()),
        Err(failure) if is_query => (failure.status, xml::error(service, &failure, &request_id).into_bytes()),
        Err(failure) if service == Service::CloudWatch => (failure.status, cloudwatch::error(&failure)),
        Err(failure) if service == Service::Lambda => {
            (failure.status, json!({ "Type": "User", "Message": failure.message }).to_string().into_bytes())
        }
        Err(failure) => {
            let kind = match service {
                Service::Dynamodb => format!("com.amazonaws.dynamodb.v20120810#{}", failure.code),
                Service::AutoScaling
                | Service::CloudWatch
                | Service::Ecs
                | Service::Events
                | Service::Ec2
                | Service::Lambda
                | Service::S3
                | Service::Ssm
                | Service::Sts
                | Service::Unknown => failure.code,
            };
            let mut body = failure.more;
            body.extend([("__type".to_owned(), json!(kind)), ("message".to_owned(), json!(failure.message))]);
            (failure.status, Value::Object(body).to_string().into_bytes())
        }
    };
    Response { status, content_type, body, request_id, error_type, function_error }
}
