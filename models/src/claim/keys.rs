//! The keys of EC2 tags on an instance: those of this program, and those that a person may have meant for it.

/// What the keys of all tags of this program begin with.
pub const TAG_PREFIX: &str = "ecs-updater:";
/// Tag with the [`Claim`](super::Claim).
pub const CLAIM_TAG: &str = "ecs-updater:claim";
/// Tag with the [`FailedVersions`](super::FailedVersions). A person removes it to have a version tried again.
pub const FAILED_TAG: &str = "ecs-updater:failed";
/// Tag a person sets to keep the updater off an instance; any value but `false` counts, and is shown as the reason.
pub const EXCLUDE_TAG: &str = "ecs-updater:exclude";
/// Tag with the `version-lock` that the host had before a step changed it, there while a step may have.
pub const SAVED_LOCK_TAG: &str = "ecs-updater:version-lock";

/// The tags of an instance that mean something to this program or to its stack, but for [`EXCLUDE_TAG`].
const KNOWN: [&str; 5] = [CLAIM_TAG, FAILED_TAG, SAVED_LOCK_TAG, "ecs-updater:last", "ecs-updater:scope"];
/// The prefix without its separators.
const NAME: &str = "ecsupdater";
/// So many letters may be wrong in a tag that still excludes.
const MAX_TYPOS: usize = 2;

/// Whether a tag of this key keeps the updater off an instance: [`EXCLUDE_TAG`], or what is within two letters of it behind
/// the prefix, in any case and with any separator. A mistyped wish is a wish.
pub fn is_exclusion(key: &str) -> bool {
    let letters: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect();
    let wish = letters.strip_prefix(NAME).filter(|_| !KNOWN.contains(&key));
    wish.is_some_and(|wish| typos(wish, "exclude") <= MAX_TYPOS)
}

/// Whether the key begins as this program's do, in any case and with `:` or `/`, and means nothing to it.
pub fn is_unknown(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once([':', '/']) else { return false };
    let is_ours = prefix.eq_ignore_ascii_case(TAG_PREFIX.trim_end_matches(':'));
    is_ours && !KNOWN.contains(&key) && !is_exclusion(key)
}

/// Returns how many letters must be changed, added or left out to make one word of the other.
fn typos(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (at, wanted) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(letter != wanted);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_exclusion_is_one() {
        let exclusions = [
            EXCLUDE_TAG,
            "ecs-updater:excluded",
            "ecs-updater:Exclude",
            "ecs-updater/exclude",
            "ecs-updater-exclude",
            "ECS_Updater.EXCLUDE",
            "EcsUpdaterExclude",
            "ecs-updater:exlcude",
            "ecs-updater:exclud",
            "ecs-updater:ex-clude",
        ];
        for key in exclusions {
            assert!(is_exclusion(key) && !is_unknown(key), "{key}");
        }
        for key in [CLAIM_TAG, FAILED_TAG, SAVED_LOCK_TAG, "ecs-updater:scope", "exclude", "Name", "ecs-updater", ""] {
            assert!(!is_exclusion(key) && !is_unknown(key), "{key}");
        }
        for key in ["ecs-updater:skip", "ecs-updater/claim", "ECS-Updater:Failed", "ecs-updater:target", "ecs-updater:"]
        {
            assert!(!is_exclusion(key) && is_unknown(key), "{key}");
        }
    }

    #[test]
    fn typos_are_counted() {
        for (one, count) in [("exclude", 0), ("excluded", 1), ("exlcude", 2), ("exclusion", 4), ("", 7), ("x", 6)] {
            assert_eq!(typos(one, "exclude"), count, "{one}");
        }
    }
}
