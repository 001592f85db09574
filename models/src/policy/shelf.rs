//! Where the reports of runs are kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A bucket of S3, and how the names of the objects in it begin. Displayed as `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shelf {
    pub bucket: String,
    /// Without a slash at its end; empty for none.
    pub prefix: String,
}

/// Not the address of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoShelf;

/// The longest prefix: S3 takes 1,024 bytes with what follows it.
const LONGEST_PREFIX: usize = 200;

impl FromStr for Shelf {
    type Err = NoShelf;

    /// The rules for names of buckets, as far as characters tell
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
    fn from_str(text: &str) -> Result<Self, NoShelf> {
        let rest = text.strip_prefix("s3://").ok_or(NoShelf)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let of_bucket = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-.".contains(char);
        let of_prefix = |char: char| char.is_ascii_alphanumeric() || "_-./".contains(char);
        let ends_well = |char: char| char.is_ascii_alphanumeric();
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket.chars().all(of_bucket)
            && bucket.starts_with(ends_well)
            && bucket.ends_with(ends_well);
        let is_prefix = prefix.len() <= LONGEST_PREFIX
            && prefix.chars().all(of_prefix)
            && (prefix.is_empty() || prefix.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
        if is_bucket && is_prefix {
            Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        } else {
            Err(NoShelf)
        }
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_encoding_is_taken() {
        for text in ["s3://runs", "s3://my-runs.2026/ecs/web"] {
            assert_eq!(text.parse::<Shelf>().unwrap().to_string(), text);
        }
        assert_eq!("s3://runs/a/".parse::<Shelf>().unwrap().to_string(), "s3://runs/a");
        for text in [
            "",
            "runs",
            "s3://",
            "s3://ab",
            "s3://Runs",
            "s3://runs/a b",
            "s3://runs/../x",
            "s3://-runs",
            "s3://runs//a",
        ] {
            assert_eq!(text.parse::<Shelf>(), Err(NoShelf), "{text}");
        }
    }
}
