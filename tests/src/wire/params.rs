//! The parameters of a JSON request. They are taken out one by one; what is left at the end is not modelled.

use serde_json::{Map, Value};

use super::failure::Failure;

/// The parameters of a JSON request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Map<String, Value>);

impl Params {
    pub(super) fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    pub(super) fn summary(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// A value; null is as good as none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Sets a value, in the place of what was there.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(name)),
        }
    }

    /// A text that stays where it is.
    pub(crate) fn peek_text(&self, name: &str) -> Option<String> {
        self.0.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// Texts that stay where they are.
    pub(crate) fn peek_texts(&self, name: &str) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The texts of this name in the objects of a list, which stay where they are.
    pub(crate) fn peek_fields(&self, list: &str, name: &str) -> Vec<String> {
        let items = self.0.get(list).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.get(name)?.as_str()).map(str::to_owned).collect()
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| wrong_type(name)),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.take(name) {
            None => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| wrong_type(name)),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        let Some(values) = self.take(name) else { return Ok(None) };
        texts(name, values).map(Some)
    }

    /// The objects of a list.
    pub(super) fn objects(&mut self, name: &str) -> Result<Vec<Self>, Failure> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .into_iter()
                .map(|value| match value {
                    Value::Object(map) => Ok(Self(map)),
                    _ => Err(wrong_type(name)),
                })
                .collect(),
            Some(_) => Err(wrong_type(name)),
        }
    }

    /// A map of lists of texts, such as the parameters of an SSM document.
    pub(super) fn map_of_texts(
        &mut self,
        name: &str,
    ) -> Result<std::collections::BTreeMap<String, Vec<String>>, Failure> {
        match self.take(name) {
            None => Ok(std::collections::BTreeMap::new()),
            Some(Value::Object(map)) => {
                map.into_iter().map(|(key, value)| Ok((key.clone(), texts(&key, value)?))).collect()
            }
            Some(_) => Err(wrong_type(name)),
        }
    }

    /// What is left is not modelled.
    pub(super) fn done(self, operation: &str) -> Result<(), Failure> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => Err(unknown_parameter(operation, &name)),
        }
    }
}

pub(super) fn unknown_parameter(operation: &str, name: &str) -> Failure {
    Failure::unknown("Parameter", format!("parameter {name} of {operation} is not modelled"))
}

fn texts(name: &str, value: Value) -> Result<Vec<String>, Failure> {
    match value {
        Value::Array(values) => values
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(wrong_type(name)),
            })
            .collect(),
        _ => Err(wrong_type(name)),
    }
}

fn wrong_type(name: &str) -> Failure {
    Failure::new("SerializationException", format!("{name} has the wrong type"))
}
