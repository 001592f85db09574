//! What `SendCommand` checks before it looks at document and hosts.

use super::super::failure::Failure;
use super::super::params::Params;
use super::constraint;
use crate::world::RateControl;

/// How many hosts at once, and how many may fail, as the request has it.
pub(super) struct Rates {
    pub(super) concurrency: String,
    pub(super) errors: String,
}

impl Rates {
    pub(super) fn read(params: &mut Params) -> Result<Self, Failure> {
        let concurrency = params.text("MaxConcurrency")?.unwrap_or_else(|| "50".to_owned());
        let errors = params.text("MaxErrors")?.unwrap_or_else(|| "0".to_owned());
        for (name, text, least) in [("maxConcurrency", &concurrency, 1), ("maxErrors", &errors, 0)] {
            if text.len() > 7 || share(text).is_none_or(|share| share.number < least) {
                return Err(constraint(name, text, "satisfy regular expression pattern"));
            }
        }
        Ok(Self { concurrency, errors })
    }

    /// The numbers for so many hosts.
    pub(super) fn of(&self, hosts: usize) -> RateControl {
        let number = |text: &str| {
            share(text).map_or(0, |share| if share.percent { hosts * share.number / 100 } else { share.number })
        };
        RateControl { at_once: number(&self.concurrency).max(1), most_errors: number(&self.errors) }
    }
}

/// A number, or a percentage of the hosts.
struct Share {
    number: usize,
    percent: bool,
}

fn share(text: &str) -> Option<Share> {
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let number = digits.parse().ok().filter(|_| plain)?;
    (!percent || number <= 100).then_some(Share { number, percent })
}

pub(super) fn check(delivery: i64, ids: &[String], comment: &str) -> Result<(), Failure> {
    if !(30..=2_592_000).contains(&delivery) {
        let rule = if delivery < 30 {
            "have value greater than or equal to 30"
        } else {
            "have value less than or equal to 2592000"
        };
        return Err(constraint("timeoutSeconds", delivery, rule));
    }
    if ids.is_empty() || ids.len() > 50 {
        return Err(constraint("instanceIds", format!("[{}]", ids.join(", ")), "have length less than or equal to 50"));
    }
    if comment.chars().count() > 100 {
        return Err(constraint("comment", comment, "have length less than or equal to 100"));
    }
    let is_twice = |(index, id): (usize, &String)| ids[..index].contains(id);
    if ids.iter().enumerate().any(is_twice) {
        return Err(Failure::new(
            "DuplicateInstanceId",
            "You can't specify a managed node ID in more than one association.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_numbers_or_percentages() {
        let of = |concurrency: &str, errors: &str, hosts| {
            let rates = Rates { concurrency: concurrency.to_owned(), errors: errors.to_owned() }.of(hosts);
            (rates.at_once, rates.most_errors)
        };
        assert_eq!(of("50", "0", 3), (50, 0));
        assert_eq!(of("10%", "50%", 20), (2, 10));
        assert_eq!(of("1%", "1%", 3), (1, 0), "one at least");
        for bad in ["", "-1", "101%", "007", "ten", "1 %", "%"] {
            assert!(share(bad).is_none(), "{bad}");
        }
    }
}
