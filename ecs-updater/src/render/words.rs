//! Lines of coloured words for a terminal: broken between words, never inside of one that fits.

use models::clean;

use super::columns;

/// What a colour means here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Colour {
    #[default]
    Plain,
    /// What is always the same.
    Dim,
    /// Went well.
    Well,
    /// In service, and something is done with it.
    Ahead,
    /// Out of service.
    Out,
    /// In its new boot, or on the way there.
    Rebooting,
    /// Held.
    Held,
    /// Went wrong.
    Wrong,
}

impl Colour {
    /// The parameter of ECMA-48's SGR.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Dim => Some("2"),
            Self::Well => Some("32"),
            Self::Ahead => Some("34"),
            Self::Out => Some("33"),
            Self::Rebooting => Some("36"),
            Self::Held => Some("35"),
            Self::Wrong => Some("31"),
        }
    }
}

/// A word, or a cell with spaces at its end: what is not broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    colour: Colour,
}

/// What a line may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paper {
    /// Columns.
    pub(super) width: usize,
    /// Lines; what has no room on the last one is cut off there.
    pub(super) most: usize,
    pub(super) colours: bool,
}

/// No word is longer, however wide the terminal.
const LONGEST_WORD: usize = 300;

/// Returns a word as it is; what a terminal would obey in it is shown instead.
pub(super) fn word(text: &str, colour: Colour) -> Word {
    Word { text: clean::cut(text, LONGEST_WORD), colour }
}

/// Returns the words of a text.
pub(super) fn words(text: &str, colour: Colour) -> Vec<Word> {
    text.split_whitespace().map(|text| word(text, colour)).collect()
}

/// Returns the words of the parts, with ` · ` between two of them.
pub(super) fn joined(parts: Vec<Vec<Word>>) -> Vec<Word> {
    let mut all: Vec<Word> = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !all.is_empty() {
            all.push(word("·", Colour::Dim));
        }
        all.extend(part);
    }
    all
}

/// Lays words out in lines. All but the first begin with `indent` spaces.
pub(super) fn lay(all: &[Word], indent: usize, paper: Paper) -> Vec<String> {
    let mut lines: Vec<Line> = vec![Line::default()];
    let count = all.len();
    for (at, word) in all.iter().enumerate() {
        let Some(line) = lines.last_mut() else { break };
        let is_last_line = at + 1 == count;
        let needs = line.width + usize::from(!line.is_blank()) + columns(word.text.trim_end());
        // On the last line there is to be room for the sign that something is cut off.
        if needs + usize::from(!is_last_line && lines.len() == paper.most) * 2 <= paper.width {
            if let Some(line) = lines.last_mut() {
                line.push(&word.text, word.colour, paper.colours);
            }
            continue;
        }
        if lines.len() == paper.most {
            if let Some(line) = lines.last_mut() {
                line.end_early(word, paper);
            }
            break;
        }
        let mut next = Line { text: " ".repeat(indent), width: indent, words: 0 };
        let room = paper.width.saturating_sub(indent);
        if columns(word.text.trim_end()) <= room {
            next.push(&word.text, word.colour, paper.colours);
        } else {
            next.push(&cut(&word.text, room), word.colour, paper.colours);
        }
        lines.push(next);
    }
    lines.into_iter().map(|line| line.text.trim_end().to_owned()).collect()
}

#[derive(Default)]
struct Line {
    text: String,
    /// Its columns.
    width: usize,
    words: usize,
}

impl Line {
    fn is_blank(&self) -> bool {
        self.words == 0
    }

    fn push(&mut self, text: &str, colour: Colour, colours: bool) {
        if !self.is_blank() {
            self.text.push(' ');
            self.width += 1;
        }
        self.words += 1;
        self.width += columns(text);
        match colour.code().filter(|_| colours) {
            // What fills a cell up has no colour, so that it can be left out at the end of a line.
            Some(code) => {
                let shown = text.trim_end();
                let fill = &text[shown.len()..];
                self.text.push_str(&format!("\u{1b}[{code}m{shown}\u{1b}[0m{fill}"));
            }
            None => self.text.push_str(text),
        }
    }

    /// Shows that something is missing; of a word that stands alone as much as there is room for.
    fn end_early(&mut self, word: &Word, paper: Paper) {
        if self.is_blank() {
            let text = cut(&word.text, paper.width.saturating_sub(self.width));
            self.push(&text, word.colour, paper.colours);
        } else if self.width + 2 <= paper.width {
            self.push("…", Colour::Dim, paper.colours);
        }
    }
}

/// As much of a word as `width` columns hold, with a sign that it is cut.
fn cut(text: &str, width: usize) -> String {
    if columns(text.trim_end()) <= width {
        return text.trim_end().to_owned();
    }
    let room = width.saturating_sub(1);
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = ends.take_while(|end| columns(&text[..*end]) <= room).last().unwrap_or(0);
    if width == 0 { String::new() } else { format!("{}…", &text[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, width: usize, most: usize) -> Vec<String> {
        lay(&words(text, Colour::Wrong), 2, Paper { width, most, colours: false })
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(plain("one two three", 80, 1), ["one two three"]);
        assert_eq!(plain("one two three", 13, 1), ["one two three"]);
        assert_eq!(plain("one two three", 12, 1), ["one two …"]);
        assert_eq!(plain("one two three", 9, 2), ["one two", "  three"]);
        assert_eq!(plain("one two three four", 9, 2), ["one two", "  three …"]);
        assert_eq!(plain("one two three four", 8, 2), ["one two", "  three"]);
        assert_eq!(plain("unbreakable", 6, 1), ["unbre…"]);
        assert_eq!(plain("an unbreakable word", 6, 3), ["an", "  unb…", "  word"]);
    }

    #[test]
    fn colours_take_no_columns_and_what_fills_a_cell_has_none() {
        let cells = [word("web    ", Colour::Plain), word("held   ", Colour::Held)];
        let paper = Paper { width: 12, most: 1, colours: true };
        assert_eq!(lay(&cells, 0, paper), ["web     \u{1b}[35mheld\u{1b}[0m"]);
        assert_eq!(lay(&cells, 0, Paper { colours: false, ..paper }), ["web     held"]);
    }
}
