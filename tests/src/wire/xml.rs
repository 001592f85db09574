//! XML answers of the Query protocols.

use quick_xml::escape::escape;

use super::failure::Failure;
use super::service::Service;

/// An element with text.
pub(super) fn text(name: &str, value: impl AsRef<str>) -> String {
    format!("<{name}>{}</{name}>", escape(value.as_ref()))
}

/// An element around others.
pub(super) fn wrap(name: &str, inner: impl AsRef<str>) -> String {
    format!("<{name}>{}</{name}>", inner.as_ref())
}

/// An answer of EC2.
pub(super) fn ec2_answer(operation: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{operation}Response \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>simulated</requestId>{inner}</{operation}Response>"
    )
}

/// An answer of EC2 Auto Scaling.
pub(super) fn autoscaling_answer(operation: &str, inner: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
         <{operation}Result>{inner}</{operation}Result>\
         <ResponseMetadata><RequestId>simulated</RequestId></ResponseMetadata></{operation}Response>"
    )
}

/// An error; EC2 has a shape of its own.
pub(super) fn error(service: Service, failure: &Failure, request_id: &str) -> String {
    let inner = format!("{}{}", text("Code", &failure.code), text("Message", &failure.message));
    let inner = match service {
        Service::Ec2 => wrap("Response", wrap("Errors", wrap("Error", inner)) + &text("RequestID", request_id)),
        Service::AutoScaling
        | Service::CloudWatch
        | Service::Lambda
        | Service::Sts
        | Service::Dynamodb
        | Service::Ecs
        | Service::Events
        | Service::S3
        | Service::Ssm
        | Service::Unknown => {
            let kind = text("Type", "Sender");
            wrap("ErrorResponse", wrap("Error", kind + &inner) + &text("RequestId", request_id))
        }
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{inner}")
}
