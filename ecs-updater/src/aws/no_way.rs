//! A name that does not resolve, and an address where nobody listens: what an endpoint or a Region that is mistyped comes to.

use std::error::Error;
use std::io;

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use hyper::Uri;

/// By these words an error says that a name does not resolve.
pub(super) const NO_NAME: &str = "does not resolve";
/// By these words an error says that nobody listens.
pub(super) const NOBODY: &str = "refuses connections";

/// There is no way to whom a request is for.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}", name.as_deref().unwrap_or("the endpoint"))]
struct NoWay {
    /// The host, and its port where one is named.
    name: Option<String>,
    what: &'static str,
    source: ConnectorError,
}

/// Names the host in an error of a connection that could not be made, where that is what it is.
pub(super) fn named(uri: &str, error: ConnectorError) -> ConnectorError {
    let Some(what) = what(&error) else { return error };
    let uri: Option<Uri> = uri.parse().ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    let name = authority.map(ToString::to_string);
    ConnectorError::io(NoWay { name, what, source: error }.into())
}

fn what(error: &ConnectorError) -> Option<&'static str> {
    causes(error).find_map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(io) if io.kind() == io::ErrorKind::ConnectionRefused => Some(NOBODY),
        Some(_) | None if cause.to_string().contains("dns error") => Some(NO_NAME),
        Some(_) | None => None,
    })
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Before a run a person waits for the answer: what has no way is told at once, and not tried for half a minute.
#[derive(Debug)]
pub(super) struct AtOnce;

impl ClassifyRetry for AtOnce {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err).and_then(|error| error.as_connector_error());
        match error.filter(|error| causes(*error).any(|cause| cause.is::<NoWay>())) {
            Some(_) => RetryAction::RetryForbidden,
            None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "no way at once"
    }
}
