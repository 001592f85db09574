//! What can stand in a tag as a person's note.

/// What a tag's value holds in ECS and EC2 (ECS API reference, `Tag`; EC2 user guide, "Tag restrictions").
const LONGEST: usize = 256;

/// Reads the note of a pause, which is the value of an ECS tag: letters, digits, spaces and `+ - = . _ : / @`
/// (ECS API reference, `Tag`).
///
/// # Errors
/// What cannot stand there, in words.
pub fn of_cluster(text: &str) -> Result<String, String> {
    let is_taken = |char: char| char.is_alphanumeric() || "+-=._:/@ ".contains(char);
    match text.chars().find(|char| !is_taken(*char)) {
        Some(char) => Err(format!("a tag of ECS takes letters, digits, spaces and + - = . _ : / @, and not {char:?}")),
        None => of_instance(text),
    }
}

/// Reads the note of an exclusion, which is the value of an EC2 tag.
///
/// # Errors
/// What cannot stand there, in words.
pub fn of_instance(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.eq_ignore_ascii_case("false") {
        return Err("it says why, for those who find it, and \"false\" would mean the contrary".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it is one line".to_owned());
    }
    match text.chars().count() {
        0..=LONGEST => Ok(text.to_owned()),
        long => Err(format!("a tag holds {LONGEST} characters, and it has {long}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_something_that_a_tag_can_hold() {
        let long = "x".repeat(LONGEST + 1);
        let table = [
            ("checkout is down: INC-4711", true, true),
            ("Stoß & Söhne", false, true),
            ("what's up", false, true),
            ("two\nlines", false, false),
            ("", false, false),
            (" ", false, false),
            ("False", false, false),
            (long.as_str(), false, false),
        ];
        for (text, cluster, instance) in table {
            assert_eq!((of_cluster(text).is_ok(), of_instance(text).is_ok()), (cluster, instance), "{text:?}");
        }
    }
}
