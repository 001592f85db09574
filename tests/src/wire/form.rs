//! The parameters of a Query request: `application/x-www-form-urlencoded`, with lists as `Name.1`, `Name.2`.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::params::unknown_parameter;

/// Parameters. They are taken out one by one; what is left at the end is not modelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(BTreeMap<String, String>);

/// A `Filter.N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EcFilter {
    pub(super) name: String,
    pub(super) values: Vec<String>,
}

impl Form {
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }

    pub(super) fn summary(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// `Name.1`, `Name.2`, … in order.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        self.members(name).into_values().filter_map(|mut member| member.0.remove("")).collect()
    }

    /// `Name.1.Field`, …: the parameters of each member; a member without fields has the field "".
    pub(crate) fn members(&mut self, name: &str) -> BTreeMap<u32, Self> {
        let mut members: BTreeMap<u32, Self> = BTreeMap::new();
        let prefix = format!("{name}.");
        self.0.retain(|key, value| {
            let Some(rest) = key.strip_prefix(&prefix) else { return true };
            let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
            let Ok(number) = number.parse() else { return true };
            members.entry(number).or_default().0.insert(field.to_owned(), std::mem::take(value));
            false
        });
        members
    }

    pub(super) fn filters(&mut self) -> Vec<EcFilter> {
        self.members("Filter")
            .into_values()
            .map(|mut member| EcFilter { name: member.take("Name").unwrap_or_default(), values: member.list("Value") })
            .collect()
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        self.take(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Failure::new("InvalidParameterValue", format!("Value ({text}) for parameter {name} is invalid."))
                })
            })
            .transpose()
    }

    pub(super) fn done(self, operation: &str) -> Result<(), Failure> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(unknown_parameter(operation, &name)),
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut after = rest.clone();
                let digits = [after.next(), after.next()].map(|digit| digit.and_then(hex));
                if let [Some(high), Some(low)] = digits {
                    bytes.push(high * 16 + low);
                    rest = after;
                } else {
                    bytes.push(byte);
                }
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_filters() {
        let body = b"Action=X&InstanceId.1=i-1&InstanceId.2=i-2&InstanceId.10=i-10&Filter.1.Name=tag%3Aa+b&Filter.1.Value.1=100%25&MaxResults=5";
        let mut form = Form::read(body);
        assert_eq!(form.take("Action").unwrap(), "X");
        assert_eq!(form.list("InstanceId"), ["i-1", "i-2", "i-10"]);
        let filters = form.filters();
        assert_eq!(filters, [EcFilter { name: "tag:a b".to_owned(), values: vec!["100%".to_owned()] }]);
        assert_eq!(form.integer("MaxResults"), Ok(Some(5)));
        assert_eq!(form.done("X"), Ok(()));
        assert!(Form::read(b"Odd=1").done("X").unwrap_err().is_unknown());
    }
}
