//! Calls for many that AWS refuses because of one: halved until that one stands alone, so that its neighbours have their
//! call all the same.

use std::fmt::Debug;

use super::error::AwsError;

/// What became of a call for many.
#[derive(Debug)]
pub(crate) struct Parts<T, A> {
    /// The answers, each with the members that it is for.
    pub(crate) done: Vec<(Vec<T>, A)>,
    /// The members that were refused by themselves, while others were not.
    pub(crate) refused: Vec<(T, AwsError)>,
    /// The members for which it was not carried out, for a reason that is not one member's.
    pub(crate) failed: Option<(Vec<T>, AwsError)>,
}

/// Carries out a call for `members`, at most `most` at once.
///
/// A call that is refused is halved. Where two members have been refused alone with the same code and nothing was done,
/// it may be for all: then each part that is left is tried once as it is, and only an answer to one of them leads to more
/// halves. Silence ends it: it says nothing about any member.
pub(crate) async fn halving<T: Clone, A>(
    members: &[T],
    most: usize,
    mut call: impl AsyncFnMut(&[T]) -> Result<A, AwsError>,
) -> Parts<T, A> {
    let mut parts = Parts { done: Vec::new(), refused: Vec::new(), failed: None };
    let mut left: Vec<Vec<T>> = members.chunks(most).map(<[T]>::to_vec).rev().collect();
    let mut put_off = Vec::new();
    while let Some(part) = left.pop() {
        match call(&part).await {
            Ok(answer) => {
                parts.done.push((part, answer));
                left.append(&mut put_off);
            }
            Err(error) if !error.may_be_for_one() => {
                let rest = left.into_iter().rev().chain(put_off).flatten();
                parts.failed = Some((part.into_iter().chain(rest).collect(), error));
                return parts;
            }
            Err(_) if part.len() > 1 && parts.may_be_for_all().is_some() => put_off.push(part),
            Err(_) if part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                left.extend([second.to_vec(), first.to_vec()]);
            }
            Err(error) => parts.refused.extend(part.into_iter().map(|member| (member, error.clone()))),
        }
    }
    if let Some(error) = parts.may_be_for_all().cloned() {
        let alone = std::mem::take(&mut parts.refused).into_iter().map(|(member, _)| member);
        parts.failed = Some((alone.chain(put_off.into_iter().flatten()).collect(), error));
    }
    parts
}

impl<T, A> Parts<T, A> {
    /// Whether it was carried out for all.
    pub(crate) fn is_whole(&self) -> bool {
        self.refused.is_empty() && self.failed.is_none()
    }

    /// Returns the answers of a call that reads, and the members that were refused by themselves: what they are is not known.
    ///
    /// # Errors
    /// A reason that is not one member's.
    pub(crate) fn read(self) -> Result<(Vec<A>, Vec<T>), AwsError>
    where
        T: Debug,
    {
        if let Some((_, error)) = self.failed {
            return Err(error);
        }
        let refused = self.refused.into_iter().map(|(member, error)| {
            tracing::warn!(?member, %error, "not described");
            member
        });
        let refused = refused.collect();
        Ok((self.done.into_iter().map(|(_, answer)| answer).collect(), refused))
    }

    /// The refusal that two members have in common, while nothing was done.
    fn may_be_for_all(&self) -> Option<&AwsError> {
        let errors = || self.refused.iter().map(|(_, error)| error);
        let is_shared = |error: &&AwsError| {
            !error.is_about_an_instance() && errors().filter(|other| other.kind == error.kind).count() > 1
        };
        errors().find(|error| self.done.is_empty() && is_shared(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::aws::ErrorKind;

    fn error(kind: ErrorKind) -> AwsError {
        AwsError { operation: "ec2:CreateTags", kind, message: String::new() }
    }

    /// Members from 0, in calls of at most fifty.
    struct Case {
        name: &'static str,
        members: u32,
        /// Refuse the call they are in.
        bad: BTreeSet<u32>,
        kind: ErrorKind,
        refused: Vec<u32>,
        failed: usize,
        most_calls: usize,
    }

    #[tokio::test]
    async fn one_bad_member_does_not_spoil_its_batch() {
        let full = || ErrorKind::Refused("TagLimitExceeded".to_owned());
        let case = |name, members, bad: &[u32], kind, most_calls| Case {
            name,
            members,
            bad: bad.iter().copied().collect(),
            kind,
            refused: bad.to_vec(),
            failed: 0,
            most_calls,
        };
        let all: Vec<u32> = (0..60).collect();
        let table = [
            case("none", 60, &[], full(), 2),
            case("the first", 60, &[0], full(), 12),
            case("the last", 60, &[59], ErrorKind::Denied, 10),
            case("the only one", 1, &[0], full(), 1),
            case("two neighbours", 50, &[0, 1], full(), 14),
            case("the first ones but for one", 50, &[0, 1, 2, 4], full(), 30),
            case("some", 50, &[0, 1, 20, 49], ErrorKind::Denied, 35),
            Case { refused: vec![], failed: 60, ..case("all", 60, &all, full(), 17) },
            Case { refused: vec![], failed: 2, ..case("both", 2, &[0, 1], ErrorKind::Denied, 3) },
            Case { refused: vec![], failed: 60, ..case("silence", 60, &[7], ErrorKind::NoAnswer, 1) },
        ];
        for Case { name, members, bad, kind, refused, failed, most_calls } in table {
            let mut calls = 0;
            let members: Vec<u32> = (0..members).collect();
            let parts = halving(&members, 50, async |part: &[u32]| {
                calls += 1;
                if part.iter().any(|member| bad.contains(member)) { Err(error(kind.clone())) } else { Ok(()) }
            })
            .await;
            let alone: BTreeSet<u32> = parts.refused.iter().map(|(member, _)| *member).collect();
            assert_eq!(alone, refused.into_iter().collect(), "{name}");
            let done: Vec<u32> = parts.done.iter().flat_map(|(part, ())| part).copied().collect();
            let not_done = parts.failed.map_or(0, |(part, _)| part.len());
            assert_eq!((not_done, done.len()), (failed, members.len() - failed - alone.len()), "{name}");
            assert!(calls <= most_calls, "{name}: {calls} calls");
        }
    }

    #[tokio::test]
    async fn what_is_read_is_known_of_all_but_those_that_are_refused_alone() {
        let read = async |bad: &[u32], kind: ErrorKind| {
            let members: Vec<u32> = (0..10).collect();
            let call = async |part: &[u32]| {
                if part.iter().any(|member| bad.contains(member)) { Err(error(kind.clone())) } else { Ok(part.len()) }
            };
            halving(&members, 100, call).await.read()
        };
        let refused = || ErrorKind::Refused("InvalidParameterException".to_owned());
        let (answers, unknown) = read(&[3], refused()).await.unwrap();
        assert_eq!((answers.iter().sum::<usize>(), unknown), (9, vec![3]));
        let all: Vec<u32> = (0..10).collect();
        assert!(read(&all, refused()).await.is_err());
        assert!(read(&[3], ErrorKind::NoAnswer).await.is_err());
    }

    #[tokio::test]
    async fn different_refusals_are_each_members_own() {
        let parts = halving(&[0, 1], 50, async |part: &[u32]| {
            let code = if part.len() > 1 { "Both".to_owned() } else { format!("{part:?}") };
            Err::<(), _>(error(ErrorKind::Refused(code)))
        })
        .await;
        assert_eq!((parts.refused.len(), parts.failed.is_none()), (2, true));
    }
}
