//! How `select` stands in the configuration: an expression, or `"none"`.

use models::query::{QueryError, Select};

use super::syntax::{NONE, NotAllowed, Syntax, quoted};
use super::value::Value;

/// The expression that an instance has to meet.
pub(super) struct Expression;

/// An empty expression is a mistake: what was to limit updates would limit none.
fn read(text: &str) -> Result<Option<Select>, QueryError> {
    if text == NONE { Ok(None) } else { text.parse().map(Some) }
}

impl Syntax<Option<Select>> for Expression {
    fn read(&self, value: &Value) -> Result<Option<Select>, NotAllowed> {
        read(value.as_text().ok_or(NotAllowed)?).map_err(|_| NotAllowed)
    }

    fn fault(&self, value: &Value) -> Option<String> {
        read(value.as_text()?).err().map(|error| error.to_string())
    }

    fn write(&self, value: &Option<Select>) -> String {
        value.as_ref().map_or_else(|| quoted(NONE), |select| quoted(&select.to_string()))
    }

    fn allowed(&self, _: &Option<Select>) -> String {
        format!("an expression such as \"attribute:role == web\", or {NONE:?}")
    }

    fn placeholder(&self) -> String {
        "EXPRESSION".to_owned()
    }
}
