//! Numbers of things, in words.

/// Returns a number with its thing, such as `1 instance` or `3 instances`.
pub fn plural(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
