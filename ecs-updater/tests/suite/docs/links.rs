//! Links lead somewhere: those between pages, and those that a comment in the sources makes by naming a page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// What is looked through for names of pages.
const SOURCES: &[&str] = &["py", "rs", "sh", "toml", "yaml", "yml"];

#[test]
fn every_link_leads_to_a_file_and_heading() {
    let mut dead = Vec::new();
    for page in files(&["md"]) {
        let text = fs::read_to_string(&page).unwrap();
        dead.extend(links(&text).into_iter().filter(|link| !leads(&page, link)).map(|link| place(&page, &link)));
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn every_page_is_in_the_index_of_its_folder() {
    let mut missing = Vec::new();
    for folder in ["docs", "docs/facts"] {
        let index = root().join(folder).join("README.md");
        let text = fs::read_to_string(&index).unwrap();
        let linked: BTreeSet<String> =
            links(&text).into_iter().map(|link| link.split('#').next().unwrap_or_default().to_owned()).collect();
        let pages = fs::read_dir(index.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let pages = pages.filter(|page| *page != index && page.extension().is_some_and(|ending| ending == "md"));
        let names = pages.map(|page| page.file_name().unwrap().to_str().unwrap().to_owned());
        missing.extend(names.filter(|name| !linked.contains(name)).map(|name| place(&index, &name)));
    }
    assert!(missing.is_empty(), "name them there, by what a reader wants:\n{}", missing.join("\n"));
    for (page, link) in [("README.md", "docs/README.md"), ("docs/README.md", "facts/README.md")] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert!(links(&text).iter().any(|found| found == link), "{page} does not lead to {link}");
    }
}

#[test]
fn every_page_that_a_source_names_is_there() {
    let mut dead = Vec::new();
    for source in files(SOURCES) {
        let text = fs::read_to_string(&source).unwrap().replace("{DOCS}/", "docs/");
        let named = pages_named(&text).into_iter().filter(|link| !leads(&root().join("README.md"), link));
        dead.extend(named.map(|link| place(&source, &link)));
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// A trap's number alone, or "the facts", cannot be opened by a reader.
#[test]
fn no_comment_cites_what_cannot_be_opened() {
    let mut dead = Vec::new();
    for source in files(&["py", "rs", "sh", "yaml", "yml"]) {
        if source.ends_with(file!().rsplit('/').next().unwrap()) {
            continue;
        }
        let text = fs::read_to_string(&source).unwrap();
        let comments = text.lines().map(str::trim_start).filter(|line| line.starts_with("//") || line.starts_with('#'));
        dead.extend(comments.filter(|line| cites_in_vain(line)).map(|line| place(&source, line)));
    }
    assert!(dead.is_empty(), "name a page of docs/facts and a heading instead:\n{}", dead.join("\n"));
}

#[test]
fn a_dead_link_is_found() {
    let page = root().join("docs/design.md");
    for link in ["none.md", "deploy.md#none", "#none", "facts/host-api.md#trap-99", "[undefined]"] {
        assert!(!leads(&page, link), "{link}");
    }
    for link in ["deploy.md", "deploy.md#settings", "#the-claim", "facts/host-api.md#trap-6", "https://example.com"] {
        assert!(leads(&page, link), "{link}");
    }
    let text = "# `a`\n\n[a](b.md) and `[c](d.md)`, [e][f], [g][h]\n\n```\n[i](j.md)\n```\n\n[f]: k.md#l\n";
    assert_eq!(links(text), ["b.md", "[h]", "k.md#l"]);
    let headings = "# One, `two`\n## One, two\n```sh\n# three\n```\n### Trap 1\n";
    assert_eq!(anchors(headings), BTreeSet::from(["one-two", "one-two-1", "trap-1"].map(str::to_owned)));
    // In two pieces, or the test above would look for these pages.
    let comment = ["/// (docs", "/a.md#trap-1, #trap-2 and #trap-3; docs", "/b.md, #4). See https://c.org/docs/d.md."];
    let named = ["/a.md#trap-1", "/a.md#trap-2", "/a.md#trap-3", "/b.md"].map(|page| format!("docs{page}"));
    assert_eq!(pages_named(&comment.concat()), named);
    assert!(["// Trap 1.", "/// x (traps 1 and 2)", "//! AWS facts, \"Rates\""].iter().all(|line| cites_in_vain(line)));
    assert!(["// docs/facts/host-api.md#trap-1", "// One fact for each trap."].iter().all(|line| !cites_in_vain(line)));
}

/// Whether a link of a page leads to a file that exists, and to a heading of it where it names one.
fn leads(page: &Path, link: &str) -> bool {
    if link.contains("://") || link.starts_with("mailto:") {
        return true;
    }
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let file = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let Some(heading) = heading else { return file.exists() };
    fs::read_to_string(file).is_ok_and(|text| anchors(&text).contains(heading))
}

/// Where the links of a page lead, in order; a reference without a definition is left in its brackets.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let until = |after: &str, end: &[char]| after.split(end).next().unwrap_or_default().to_owned();
    let mut links: Vec<String> = ["](", "src=\"", "href=\""]
        .iter()
        .flat_map(|begin| prose.split(begin).skip(1).map(|after| until(after, &[')', '"', ' '])).collect::<Vec<_>>())
        .collect();
    let definitions: Vec<(&str, &str)> =
        prose.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).collect();
    let used = prose.split("][").skip(1).map(|after| until(after, &[']']));
    links
        .extend(used.filter(|name| definitions.iter().all(|(known, _)| known != name)).map(|name| format!("[{name}]")));
    links.extend(definitions.iter().map(|(_, target)| target.trim().to_owned()));
    links
}

/// A page without what stands in code.
fn prose(text: &str) -> String {
    let paragraphs = without_fences(text);
    let outside = |paragraph: &str| paragraph.split('`').step_by(2).collect::<String>();
    paragraphs.split("\n\n").map(outside).collect::<Vec<_>>().join("\n\n")
}

fn without_fences(text: &str) -> String {
    let mut fenced = false;
    let outside = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    outside.collect::<Vec<_>>().join("\n")
}

/// The names of a page's headings in links, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let named = |line: &str| Some(line.split_once("<a id=\"")?.1.split_once('"')?.0.to_owned());
    let mut anchors: BTreeSet<String> = text.lines().filter_map(named).collect();
    for line in without_fences(text).lines() {
        let Some((_, title)) = line.split_once("# ").filter(|(level, _)| level.chars().all(|c| c == '#')) else {
            continue;
        };
        let kept = title.trim().to_lowercase().replace(' ', "-");
        let name: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        let again = (1..).map(|count| format!("{name}-{count}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// The pages that a source names, such as docs/facts/host-api.md#trap-1, #trap-2 and #trap-6, one for each heading.
fn pages_named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, begin) in text.match_indices("docs/") {
        let outside = text[..at].ends_with('/') && !text[..at].ends_with("../");
        let path_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_'));
        let after = &text[at + begin.len()..];
        let (name, after) = after.split_at(after.find(path_end).unwrap_or(after.len()));
        let Some(mut after) = after.strip_prefix(".md").filter(|_| !outside) else { continue };
        let page = format!("{begin}{name}.md");
        let mut bare = true;
        while let Some(heading) = after.strip_prefix('#') {
            let heading_end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            let (heading, rest) = heading.split_at(heading.find(heading_end).unwrap_or(heading.len()));
            named.push(format!("{page}#{heading}"));
            after = rest.strip_prefix(", ").or_else(|| rest.strip_prefix(" and ")).unwrap_or_default();
            bare = false;
        }
        if bare {
            named.push(page);
        }
    }
    named
}

/// Whether a comment rests on a source that no reader can open.
fn cites_in_vain(line: &str) -> bool {
    let line = line.to_lowercase();
    let numbered = ["trap ", "traps "]
        .iter()
        .any(|word| line.split(word).skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_digit())));
    numbered || line.contains("aws facts") || line.contains("api facts") || line.contains("`facts`")
}

fn place(file: &Path, what: &str) -> String {
    format!("{}: {what}", file.strip_prefix(root()).unwrap_or(file).display())
}

/// All files of the repository with one of these endings.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root()];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "target" && name != "node_modules" && !name.starts_with('.') {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}
