//! Paging: a token is opaque to the caller and means "after this key".

/// A page of keys in order, and the token of the next one.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// A token that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadToken;

/// Cuts `size` items after the token out of `items`, which are sorted by `key` here.
pub(super) fn cut<T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> &str,
    size: usize,
    token: Option<&str>,
) -> Result<Page<T>, BadToken> {
    items.sort_by(|a, b| key(a).cmp(key(b)));
    let after = token.map(decode).transpose()?;
    let start = after.map_or(0, |after| items.partition_point(|item| key(item) <= after.as_str()));
    let mut items = items.split_off(start);
    let rest = items.len() > size;
    items.truncate(size);
    let next = items.last().filter(|_| rest).map(|last| encode(key(last)));
    Ok(Page { items, next })
}

const MARK: &str = "fleet:";

fn encode(key: &str) -> String {
    format!("{MARK}{key}").bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(token: &str) -> Result<String, BadToken> {
    let digits = token.as_bytes();
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(BadToken)?;
    text.strip_prefix(MARK).map(str::to_owned).ok_or(BadToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_everything_once() {
        let all: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
        let (mut seen, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = cut(all.clone(), |item| item, 10, token.as_deref()).ok().unwrap();
            assert!(page.items.len() <= 10);
            seen.extend(page.items);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, all);
        assert!(cut(all, |item| item, 10, Some("odd")).is_err());
    }
}
