//! Markdown as the source of a manual page: headings, paragraphs, lists, tables of two columns, and code.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The widest column for the names of a table; longer ones have a line of their own.
const MAX_COLUMN: usize = 38;

/// What is being read.
#[derive(Default)]
struct Page {
    roff: Roff,
    /// The line that is begun.
    line: Vec<Inline>,
    /// The first cells of the table that is being read, each with the second.
    rows: Vec<[Vec<Inline>; 2]>,
    emphasis: Option<fn(String) -> Inline>,
    /// Whether the next paragraph begins without a macro: after a heading, or in a list.
    has_begun: bool,
    in_code: bool,
}

/// The page that a text is.
pub(super) fn to_roff(text: &str) -> Roff {
    let mut page = Page::default();
    let options = Options::ENABLE_TABLES | Options::ENABLE_DEFINITION_LIST;
    for event in Parser::new_ext(text, options) {
        page.read(event);
    }
    page.roff
}

impl Page {
    fn read(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => {
                for line in text.lines() {
                    self.roff.text([roman(line)]);
                }
            }
            Event::Text(text) => {
                let inline =
                    self.emphasis.map_or_else(|| roman(&*text), |font| font(text.to_string()));
                self.line.push(inline);
            }
            Event::Code(text) => self.line.push(bold(text.to_string())),
            Event::SoftBreak => self.line.push(roman(" ")),
            other => panic!("a manual page has no {other:?}"),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph if !std::mem::take(&mut self.has_begun) => {
                self.roff.control("PP", []);
            }
            Tag::Strong => self.emphasis = Some(bold),
            Tag::Emphasis => self.emphasis = Some(italic),
            Tag::CodeBlock(_) => {
                self.in_code = true;
                if !std::mem::take(&mut self.has_begun) {
                    self.roff.control("PP", []);
                }
                self.roff.control("RS", ["4"]).control("EX", []);
            }
            Tag::Item => {
                self.roff.control("IP", ["\\(bu", "2"]);
                self.has_begun = true;
            }
            Tag::DefinitionListTitle => {
                self.roff.control("TP", []);
            }
            Tag::DefinitionListDefinition => self.has_begun = true,
            Tag::TableRow => self.rows.push(Default::default()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let title: String = self.taken().iter().map(text).collect();
                match level {
                    HeadingLevel::H2 => self.roff.control("SH", [&*title.to_uppercase()]),
                    _ => self.roff.control("SS", [&*title]),
                };
                self.has_begun = true;
            }
            TagEnd::Paragraph | TagEnd::DefinitionListTitle => self.write(),
            // Of a list without paragraphs.
            TagEnd::Item | TagEnd::DefinitionListDefinition if !self.line.is_empty() => {
                self.write()
            }
            TagEnd::Strong | TagEnd::Emphasis => self.emphasis = None,
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.roff.control("EE", []).control("RE", []);
            }
            TagEnd::TableHead => self.line.clear(),
            TagEnd::TableCell => {
                let cell = self.taken();
                if let Some([name, what]) = self.rows.last_mut() {
                    *(if name.is_empty() { name } else { what }) = cell;
                }
            }
            TagEnd::Table => self.table(),
            _ => {}
        }
    }

    fn taken(&mut self) -> Vec<Inline> {
        std::mem::take(&mut self.line)
    }

    fn write(&mut self) {
        let line = self.taken();
        self.roff.text(line);
        self.has_begun = false;
    }

    /// The rows of a table, the names in a column as wide as the longest.
    fn table(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        let width = |[name, _]: &[Vec<Inline>; 2]| -> usize {
            name.iter().map(|inline| text(inline).chars().count()).sum()
        };
        let width = rows.iter().map(width).max().unwrap_or(0).min(MAX_COLUMN) + 2;
        for (at, [name, what]) in rows.into_iter().enumerate() {
            self.roff.control("TP", [&*width.to_string()]).text(name).text(what);
            if at == 0 {
                // The others follow without a blank line.
                self.roff.control("PD", ["0"]);
            }
        }
        self.roff.control("PD", []);
        self.has_begun = false;
    }
}

fn text(inline: &Inline) -> &str {
    match inline {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text,
        Inline::LineBreak => " ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_what_a_page_has_for_it() {
        let text = "## A title\n\nSome *words*, **npyfs**(1)\nand `.npy`.\n\nMore.\n\n    code\n      .in\n\n- one\n\n`x`\n\n: What it is.\n";
        let roff = to_roff(text).to_roff();
        assert_eq!(
            roff,
            ".SH \"A TITLE\"\nSome \\fIwords\\fR, \\fBnpyfs\\fR(1) and \\fB.npy\\fR.\n.PP\nMore.\n.PP\n.RS 4\n.EX\ncode\n  .in\n.EE\n.RE\n.IP \\(bu 2\none\n.TP\n\\fBx\\fR\nWhat it is.\n"
        );
    }

    #[test]
    fn the_rows_of_a_table_are_names_and_what_they_mean() {
        let text = "| path | NumPy |\n|---|---|\n| `a.npy` | `a` |\n| `T` | what |\n";
        let roff = to_roff(text).to_roff();
        assert_eq!(roff, ".TP 7\n\\fBa.npy\\fR\n\\fBa\\fR\n.PD 0\n.TP 7\n\\fBT\\fR\nwhat\n.PD\n");
    }
}
