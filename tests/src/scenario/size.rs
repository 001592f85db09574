//! Amounts of memory as people write them.

use serde::{Deserialize, Deserializer};

/// MiB: a number, or text such as `"8GiB"` or `"512MiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mib(pub u32);

impl<'de> Deserialize<'de> for Mib {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(mib) => return Ok(Self(mib)),
            Written::Text(text) => text,
        };
        let parsed = match text.strip_suffix("GiB") {
            Some(gib) => gib.trim().parse::<u32>().ok().and_then(|gib| gib.checked_mul(1024)),
            None => text.strip_suffix("MiB").and_then(|mib| mib.trim().parse().ok()),
        };
        parsed
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no amount of memory such as \"8GiB\"")))
    }
}
