//! How a Lambda function stands in the configuration.

use models::function::FunctionArn;

use super::syntax::{NONE, NotAllowed, Syntax, quoted};
use super::value::Value;

/// The ARN of a function, or none.
pub(super) struct Function;

impl Syntax<Option<FunctionArn>> for Function {
    fn read(&self, value: &Value) -> Result<Option<FunctionArn>, NotAllowed> {
        match value.as_text().ok_or(NotAllowed)? {
            NONE => Ok(None),
            text => text.parse().map(Some).map_err(|_| NotAllowed),
        }
    }

    fn write(&self, value: &Option<FunctionArn>) -> String {
        value.as_ref().map_or_else(|| quoted(NONE), |arn| quoted(&arn.to_string()))
    }

    fn allowed(&self, _: &Option<FunctionArn>) -> String {
        format!(
            "the ARN of a Lambda function, such as \"arn:aws:lambda:eu-central-1:111122223333:function:NAME\", or {NONE:?}"
        )
    }

    fn placeholder(&self) -> String {
        "ARN".to_owned()
    }
}
