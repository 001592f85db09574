//! Whether a run holds `MinSize` of an Auto Scaling group, and what becomes of one that is held. Pure.

use jiff::{SignedDuration, Timestamp};
use models::fleet::{GroupSize, HeldSize};
use models::ids::RunId;
use models::min_size::{BadMinSize, HeldMinSize};
use models::time::after;

/// Without a lease nothing tells whether another run is dead; after so long it is taken to be.
const OTHERS_DEAD_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The tag of a group, as it was read.
pub(crate) type Tag = Option<Result<HeldMinSize, BadMinSize>>;

/// What is done before the first instance of a group is drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The group is at its minimum already.
    NotNeeded,
    /// The tag is written, and then `MinSize` where it is not at that yet.
    Take { tag: HeldMinSize, raise: bool },
    /// Somebody else has changed it.
    Foreign(String),
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder<'a> {
    pub(crate) run: &'a RunId,
    /// Whether it has a lease: what another run holds then is left by a dead one.
    pub(crate) alone: bool,
    pub(crate) now: Timestamp,
}

/// Returns what is to be done so that managed scaling ends no instance of the group. What a run before has left is taken over, with
/// the `MinSize` from before it.
pub(crate) fn hold(group: &str, size: &GroupSize, tag: &Tag, by: Holder<'_>) -> Hold {
    let own = |tag: HeldMinSize| HeldMinSize { run: by.run.clone(), since: by.now, ..tag };
    match tag {
        Some(Err(bad)) => Hold::Foreign(format!("{bad}, so MinSize of group {group} stays as it is")),
        Some(Ok(tag)) if tag.held == size.least => Hold::Take { tag: own(tag.clone()), raise: false },
        Some(Ok(tag)) if tag.old != size.least => Hold::Foreign(changed(group, size, tag)),
        Some(Ok(_)) | None if size.desired <= size.least => Hold::NotNeeded,
        Some(Ok(_)) | None => {
            let tag = HeldMinSize { old: size.least, held: size.desired, run: by.run.clone(), since: by.now };
            Hold::Take { tag, raise: true }
        }
    }
}

/// What is done with a group at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PutBack {
    /// `MinSize` becomes this, and then the tag goes.
    Lower(u32),
    /// It is what it was: the tag goes.
    Forget,
    /// Somebody has changed it: it is left as it is, and the tag goes.
    Foreign(String),
    /// Nothing of this run's, or nothing that it understands.
    Leave(Option<String>),
}

/// Returns what is to be done with a group at the end of a run. `held` is what this run knows that it holds: a tag may be gone.
pub(crate) fn put_back(group: &str, size: &GroupSize, tag: &Tag, held: Option<HeldSize>, by: Holder<'_>) -> PutBack {
    let own = |HeldSize { old, held }| HeldMinSize { old, held, run: by.run.clone(), since: by.now };
    let own = held.map(own);
    let tag = match (tag, &own) {
        (Some(Ok(tag)), _) | (None, Some(tag)) => tag,
        (None, None) => return PutBack::Leave(None),
        (Some(Err(bad)), Some(HeldMinSize { old, held, .. })) if size.least == *held => {
            return PutBack::Leave(Some(format!(
                "group {group}: {bad}; MinSize is held at {held}, and was {old}: put it back and remove the tag by hand"
            )));
        }
        (Some(Err(bad)), _) => return PutBack::Leave(Some(format!("group {group}: {bad}; remove it by hand"))),
    };
    let may_live = !by.alone && tag.run != *by.run && by.now < after(tag.since, OTHERS_DEAD_AFTER);
    if may_live {
        let HeldMinSize { old, held, run, since } = tag;
        return PutBack::Leave(Some(format!(
            "MinSize of group {group} is held at {held} by run {run} since {since}, and was {old}: that run puts it back, or a run \
             that begins a day later"
        )));
    }
    if size.least == tag.held {
        PutBack::Lower(tag.old)
    } else if size.least == tag.old {
        PutBack::Forget
    } else {
        PutBack::Foreign(changed(group, size, tag))
    }
}

fn changed(group: &str, size: &GroupSize, tag: &HeldMinSize) -> String {
    let HeldMinSize { old, held, run, .. } = tag;
    format!(
        "MinSize of group {group} is {}: somebody has changed it since run {run} held it at {held} (it was {old}), so \
         it is left as it is",
        size.least
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_795_402_800 + hours * 3_600).unwrap()
    }

    fn size(desired: u32, least: u32) -> GroupSize {
        GroupSize { desired, least, most: 20, suspended: Vec::new() }
    }

    fn tag(old: u32, held: u32, run: &str) -> Tag {
        Some(Ok(HeldMinSize { old, held, run: RunId::new(run), since: at(0) }))
    }

    fn by(run: &RunId, alone: bool, now: Timestamp) -> Holder<'_> {
        Holder { run, alone, now }
    }

    #[test]
    fn what_is_held() {
        let run = RunId::new("MINE");
        let taken =
            |old, held, raise| Hold::Take { tag: HeldMinSize { old, held, run: run.clone(), since: at(1) }, raise };
        let bad = Some(Err(BadMinSize("x".into())));
        let table = [
            ("a group that can shrink", size(10, 2), None, Some(taken(2, 10, true))),
            ("one at its minimum", size(10, 10), None, Some(Hold::NotNeeded)),
            ("held by a dead run", size(10, 10), tag(2, 10, "DEAD"), Some(taken(2, 10, false))),
            ("that has grown since", size(12, 10), tag(2, 10, "DEAD"), Some(taken(2, 10, false))),
            ("its run died before the change", size(10, 2), tag(2, 9, "DEAD"), Some(taken(2, 10, true))),
            ("or after it was put back", size(2, 2), tag(2, 9, "DEAD"), Some(Hold::NotNeeded)),
            ("somebody has changed it", size(10, 4), tag(2, 10, "DEAD"), None),
            ("somebody's tag", size(10, 2), bad, None),
        ];
        for (name, size, tag, expected) in table {
            let found = hold("web", &size, &tag, by(&run, true, at(1)));
            match expected {
                Some(expected) => assert_eq!(found, expected, "{name}"),
                None => assert!(matches!(found, Hold::Foreign(_)), "{name}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_put_back() {
        let run = RunId::new("MINE");
        let bad = || Some(Err(BadMinSize("x".into())));
        let table = [
            ("nothing is held", size(10, 2), None, true, 1, "leave"),
            ("held by this run", size(10, 10), tag(2, 10, "MINE"), false, 1, "lower 2"),
            ("the change never came", size(10, 2), tag(2, 10, "MINE"), false, 1, "forget"),
            ("somebody has changed it", size(10, 4), tag(2, 10, "MINE"), true, 1, "foreign"),
            ("held by a dead run", size(10, 10), tag(2, 10, "DEAD"), true, 1, "lower 2"),
            ("perhaps by a living one", size(10, 10), tag(2, 10, "OTHER"), false, 1, "leave and say"),
            ("surely by a dead one", size(10, 10), tag(2, 10, "OTHER"), false, 24, "lower 2"),
            ("somebody's tag", size(10, 10), bad(), true, 1, "leave and say"),
        ];
        for (name, size, tag, alone, hours, expected) in table {
            let found = match put_back("web", &size, &tag, None, by(&run, alone, at(hours))) {
                PutBack::Lower(to) => format!("lower {to}"),
                PutBack::Forget => "forget".to_owned(),
                PutBack::Foreign(_) => "foreign".to_owned(),
                PutBack::Leave(None) => "leave".to_owned(),
                PutBack::Leave(Some(_)) => "leave and say".to_owned(),
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    /// A tag that is gone, left out, or overwritten takes the value from before with it.
    #[test]
    fn what_a_run_has_held_is_put_back_without_its_tag() {
        let run = RunId::new("MINE");
        let held = Some(HeldSize { old: 2, held: 10 });
        let back = |size, tag| put_back("web", &size, &tag, held, by(&run, false, at(1)));
        assert_eq!(back(size(10, 10), None), PutBack::Lower(2));
        assert_eq!(back(size(10, 2), None), PutBack::Forget);
        assert!(matches!(back(size(10, 5), None), PutBack::Foreign(_)));
        let bad = Some(Err(BadMinSize("x".into())));
        let PutBack::Leave(Some(said)) = back(size(10, 10), bad) else { panic!("a bad tag") };
        assert!(said.contains("held at 10, and was 2"), "{said}");
    }
}
