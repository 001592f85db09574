//! No two files of a package import from each other, not even by way of others.
//!
//! A path counts for the file whose module it leads into, and where that only hands a name on, for the file that the name
//! comes from. What a child takes of its own parent is no import of it, nor is a method that another file's `impl` has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{collect, workspace};

/// Imports of the simulator that close a circle and stay, each with its reason: from, to, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "world/mod.rs",
    "invariants.rs",
    "the world has its rules checked after each of its events, and they read the world",
)];

/// The files of a package, by their module's path.
type Files = BTreeMap<Vec<String>, File>;

struct File {
    name: String,
    text: String,
}

#[test]
fn no_circle_in_what_ships() {
    let packages = ["models", "host-bridge", "ecs-updater"];
    let circles: Vec<String> = packages.iter().flat_map(|package| circles(&imports(&files_of(package)))).collect();
    assert!(circles.is_empty(), "files that import from each other:\n{}", circles.join("\n"));
}

#[test]
fn no_circle_in_the_simulator_but_the_listed_ones() {
    let mut imports = imports(&files_of("tests"));
    for (from, to, why) in EXCEPTIONS {
        let there = imports.get_mut(*from).is_some_and(|to_files| to_files.remove(*to).is_some());
        assert!(there, "an exception that nobody needs any more: {from} -> {to} ({why})");
    }
    let circles = circles(&imports);
    assert!(circles.is_empty(), "files that import from each other:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let of = |files: &[(&str, &str)]| {
        let file = |name: &str, text: &str| (module_of(name), File { name: name.to_owned(), text: text.to_owned() });
        circles(&imports(&files.iter().map(|(name, text)| file(name, text)).collect()))
    };
    let lib = ("lib.rs", "pub mod a; mod b; mod c;");
    let through_three =
        [lib, ("a.rs", "use crate::b::B;"), ("b.rs", "fn f() { crate::c::g() }"), ("c.rs", "use super::a::{self, X};")];
    assert_eq!(of(&through_three), ["a.rs -> b.rs (crate::b::B) -> c.rs (crate::c::g) -> a.rs (super::a::X)"]);
    let parent = ("a/mod.rs", "mod b; mod c; pub use b::B; pub use c::{C, c as other}; pub struct D;");
    let handed_on = [("lib.rs", "mod a;"), parent, ("a/b.rs", "use super::{D, C};"), ("a/c.rs", "use crate::a::B;")];
    assert_eq!(of(&handed_on), ["a/b.rs -> a/c.rs (super::C) -> a/b.rs (crate::a::B)"]);
    let grandparent = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; use b::g; pub struct D;"),
        ("a/b/mod.rs", "mod c; pub use c::g;"),
        ("a/b/c.rs", "use crate::a::D; pub fn g() {}"),
    ];
    assert_eq!(of(&grandparent), ["a/b/c.rs -> a/mod.rs (crate::a::D) -> a/b/c.rs (b::g)"]);
    let in_a_macro = [lib, ("a.rs", "fn f() { m!(crate::b::B) }"), ("b.rs", "type T = crate::a::A;")];
    assert_eq!(of(&in_a_macro).len(), 1);
    let sound = [
        lib,
        ("a.rs", "use crate::b::B; #[cfg(test)] mod tests { use crate::c::C; }"),
        ("b.rs", "/// As [`crate::a::A`].\npub(crate) struct B;"),
        ("c.rs", "use crate::{a::A, b::B};"),
    ];
    assert_eq!(of(&sound), Vec::<String>::new());
}

fn files_of(package: &str) -> Files {
    let root = workspace().join(package).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let file = |path: &Path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        (module_of(&name), File { name, text: std::fs::read_to_string(path).unwrap() })
    };
    paths.iter().filter(|path| !path.ends_with("main.rs")).map(|path| file(path)).collect()
}

/// `a/mod.rs` and `a.rs` are `a`; `lib.rs` is the root.
fn module_of(name: &str) -> Vec<String> {
    let mut path: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    path.pop_if(|last| last == "mod" || last == "lib");
    path
}

/// For each file those that it imports from, each with the path by which it does.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

fn imports(files: &Files) -> Imports {
    let paths: BTreeMap<&Vec<String>, Vec<Written>> =
        files.iter().map(|(module, file)| (module, file.paths())).collect();
    let of = |module: &Vec<String>, file: &File| {
        let led = paths[module].iter().filter_map(|written| {
            let to = led_into(&written.path, module, &paths, 0)?;
            (to != *module && !is_parent(&to, module)).then(|| (files[&to].name.clone(), written.path.join("::")))
        });
        (file.name.clone(), led.collect())
    };
    files.iter().map(|(module, file)| of(module, file)).collect()
}

fn is_parent(to: &[String], module: &[String]) -> bool {
    module.split_last().is_some_and(|(_, parent)| parent == to)
}

/// The module that the path leads into; where that takes the next name from elsewhere, the one that it comes from.
fn led_into(
    path: &[String],
    module: &[String],
    written: &BTreeMap<&Vec<String>, Vec<Written>>,
    depth: usize,
) -> Option<Vec<String>> {
    let mut at = match path[0].as_str() {
        "crate" => Vec::new(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        "self" => module.to_vec(),
        child => {
            let below = [module, &[child.to_owned()]].concat();
            written.contains_key(&below).then_some(below)?
        }
    };
    let mut rest = path[1..].iter();
    let name = loop {
        match rest.next() {
            Some(segment) if segment == "super" => drop(at.pop()?),
            Some(segment) => {
                at.push(segment.clone());
                if !written.contains_key(&at) {
                    break at.pop()?;
                }
            }
            None => return Some(at),
        }
    };
    let mut handed_on = written.get(&at)?.iter().filter(|one| one.is_use && one.path.last() == Some(&name));
    let from = handed_on.find_map(|one| if depth < 5 { led_into(&one.path, &at, written, depth + 1) } else { None });
    Some(from.unwrap_or(at))
}

/// A path of two segments or more, each of those in the braces of a `use` by itself.
struct Written {
    path: Vec<String>,
    is_use: bool,
}

impl File {
    /// Nothing from under `#[cfg(test)]`.
    fn paths(&self) -> Vec<Written> {
        let tokens: TokenStream = self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let mut paths = Vec::new();
        paths_in(tokens, &mut paths);
        paths
    }
}

fn paths_in(tokens: TokenStream, paths: &mut Vec<Written>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let (mut at, mut is_use) = (0, false);
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            let is_end = |token: &TokenTree| is_braced(token) || is_punct(Some(token), ';');
            at += 2 + tokens[at + 2..].iter().position(is_end).map_or(0, |end| end + 1);
            continue;
        }
        is_use =
            matches!(&tokens[at], TokenTree::Ident(word) if word == "use") || is_use && !is_punct(tokens.get(at), ';');
        let mut found = Vec::new();
        at += match &tokens[at] {
            TokenTree::Group(group) => {
                paths_in(group.stream(), paths);
                1
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                path_at(&tokens[at..], Vec::new(), &mut found)
            }
        };
        paths.extend(found.into_iter().map(|path| Written { path, is_use }));
    }
}

/// Takes the path that begins here and goes on from `prefix`, if there is one; returns how many tokens that was.
fn path_at(tokens: &[TokenTree], prefix: Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    match &tokens[0] {
        TokenTree::Ident(name) => {
            let path = [prefix, vec![name.to_string()]].concat();
            if is_punct(tokens.get(1), ':') && is_punct(tokens.get(2), ':') && tokens.len() > 3 {
                return 3 + path_at(&tokens[3..], path, paths);
            }
            if path.len() > 1 {
                paths.push(path);
            }
        }
        TokenTree::Group(group) => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for branch in inner.split(|token| is_punct(Some(token), ',')).filter(|branch| !branch.is_empty()) {
                path_at(branch, prefix.clone(), paths);
            }
        }
        // `a::*`, and `a::<T>`.
        TokenTree::Punct(_) | TokenTree::Literal(_) if !prefix.is_empty() => paths.push(prefix),
        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
    }
    1
}

fn is_for_tests(tokens: &[TokenTree]) -> bool {
    let attribute =
        |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.stream().to_string() == "cfg (test)");
    is_punct(tokens.first(), '#') && tokens.get(1).is_some_and(attribute)
}

fn is_braced(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

/// A shortest circle through each file that is in one; each circle once.
fn circles(imports: &Imports) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for file in imports.keys().filter(|file| !told.contains(*file)).cloned().collect::<Vec<_>>() {
        if told.contains(&file) {
            continue;
        }
        let Some(circle) = back_to(&file, imports) else { continue };
        let arrow = |pair: &[String]| format!(" -> {} ({})", pair[1], imports[&pair[0]][&pair[1]]);
        circles.push(format!("{file}{}", circle.windows(2).map(arrow).collect::<String>()));
        told.extend(circle);
    }
    circles
}

/// The shortest way along the imports from a file back to itself.
fn back_to(file: &str, imports: &Imports) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![file.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in imports.get(way.last()?)?.keys() {
            let longer = [way.clone(), vec![next.clone()]].concat();
            if next == file {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    None
}
