//! A point in a run at which it dies or gets a signal.

use jiff::SignedDuration;
use serde::Deserialize;

use crate::CrashPoint;
use crate::scenario::{HostWhen, Point};

/// A point in a run. In a scenario: `{ at = "5m" }`, `{ host = 0, is = "draining" }`, `{ before_call = 17 }` or
/// `{ after_call = 17 }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum Moment {
    /// So long after the run's start.
    At(SignedDuration),
    /// As soon as a host comes to a point during the run.
    Host(HostWhen),
    /// One of its calls, counted from 1 in this run.
    Call(CrashPoint),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    at: Option<SignedDuration>,
    host: Option<usize>,
    is: Option<Point>,
    before_call: Option<u64>,
    after_call: Option<u64>,
}

/// Why a table is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// None of the forms, or several.
    #[error("a moment is one of {{ at }}, {{ host, is }}, {{ before_call }} and {{ after_call }}")]
    Form,
    /// There is no call 0.
    #[error("a moment counts calls from 1")]
    NoCall,
}

impl TryFrom<Written> for Moment {
    type Error = MomentError;

    fn try_from(written: Written) -> Result<Self, MomentError> {
        let moment = match written {
            Written { at: Some(at), host: None, is: None, before_call: None, after_call: None } => Self::At(at),
            Written { at: None, host, is: Some(is), before_call: None, after_call: None } => {
                Self::Host(HostWhen { host, is })
            }
            Written { at: None, host: None, is: None, before_call: Some(call), after_call: None } => {
                Self::Call(CrashPoint::Before(call))
            }
            Written { at: None, host: None, is: None, before_call: None, after_call: Some(call) } => {
                Self::Call(CrashPoint::After(call))
            }
            Written { .. } => return Err(MomentError::Form),
        };
        match moment {
            Self::Call(CrashPoint::Before(0) | CrashPoint::After(0)) => Err(MomentError::NoCall),
            Self::At(_) | Self::Host(_) | Self::Call(_) => Ok(moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Moment, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_moment_has_one_form() {
        assert_eq!(read("at = \"5m\""), Ok(Moment::At(SignedDuration::from_mins(5))));
        let draining = |host| Ok(Moment::Host(HostWhen { host, is: Point::Draining }));
        assert_eq!(read("host = 2\nis = \"draining\""), draining(Some(2)));
        assert_eq!(read("is = \"draining\""), draining(None));
        assert_eq!(read("before_call = 17"), Ok(Moment::Call(CrashPoint::Before(17))));
        assert_eq!(read("after_call = 17"), Ok(Moment::Call(CrashPoint::After(17))));
        let forms = MomentError::Form.to_string();
        for text in
            ["", "host = 0", "at = \"5m\"\nis = \"booted\"", "before_call = 1\nafter_call = 2", "at = \"5m\"\nhost = 0"]
        {
            assert_eq!(read(text), Err(forms.clone()), "{text:?}");
        }
        assert_eq!(read("before_call = 0"), Err("a moment counts calls from 1".to_owned()));
    }

    #[test]
    fn a_point_that_is_not_known_is_told_with_those_that_are() {
        let error = read("host = 0\nis = \"asleep\"").unwrap_err();
        let points = "`claimed`, `staged`, `draining`, `drained`, `activated`, `rebooting`, `booted`, `active`";
        assert_eq!(error, format!("unknown variant `asleep`, expected one of {points}"));
        assert!(
            read("when = \"draining\"").unwrap_err().contains("unknown field `when`, expected one of `at`, `host`")
        );
    }
}
