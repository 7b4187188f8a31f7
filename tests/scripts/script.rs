//! A file of blocks: what is done, a line of dashes, and what is heard, up to an empty line.

use crate::stage::Stage;

const LINE: &str = "----";
const NOTHING: &str = "(nothing)";

pub(crate) struct Script {
    name: String,
    blocks: Vec<Block>,
    /// Comments behind the last block.
    rest: Vec<String>,
}

struct Block {
    /// Comments, empty lines and commands, as they are written.
    done: Vec<String>,
    /// The number of the first of these lines.
    first_line: usize,
    heard: Vec<String>,
}

impl Script {
    pub(crate) fn parse(name: &str, text: &str) -> Script {
        let mut blocks = Vec::new();
        let (mut done, mut first_line) = (Vec::new(), 1);
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            if done.is_empty() {
                first_line = index + 1;
            }
            if line != LINE {
                done.push(line.trim_end().to_owned());
                continue;
            }
            let heard = lines.by_ref().map(|(_, line)| line.trim_end().to_owned());
            let heard = heard.take_while(|line| !line.is_empty()).collect();
            blocks.push(Block { done: std::mem::take(&mut done), first_line, heard });
        }
        let is_command = |line: &&String| !line.is_empty() && !line.starts_with('#');
        let command = done.iter().find(is_command);
        assert!(command.is_none(), "{name}.txt: no {LINE} behind {command:?}");
        Script { name: name.to_owned(), blocks, rest: done }
    }

    /// Does all of it, and notes what is heard. The first block in which something else was written is told.
    pub(crate) fn play(&mut self, stage: &mut Stage) -> Option<String> {
        let mut complaint = None;
        for block in &mut self.blocks {
            let mut heard = Vec::new();
            let commands = (block.first_line..).zip(&block.done);
            for (number, line) in commands.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
                let result = stage.perform(line);
                heard.extend(
                    result
                        .unwrap_or_else(|error| panic!("{}.txt, line {number}: {line}\n{error}", self.name)),
                );
            }
            heard.extend(stage.finish());
            let heard = lay_out(&heard);
            if heard != block.heard && complaint.is_none() {
                complaint = Some(block.complaint(&self.name, &heard));
            }
            block.heard = heard;
        }
        complaint
    }

    /// The file as it is to be written.
    pub(crate) fn text(&self) -> String {
        let blocks = self.blocks.iter().map(|block| {
            let lines: Vec<&str> = block
                .done
                .iter()
                .map(String::as_str)
                .chain([LINE])
                .chain(block.heard.iter().map(String::as_str))
                .collect();
            lines.join("\n") + "\n"
        });
        let mut parts: Vec<String> = blocks.collect();
        if self.rest.iter().any(|line| !line.is_empty()) {
            parts.push(self.rest.join("\n") + "\n");
        }
        parts.join("\n")
    }
}

impl Block {
    fn complaint(&self, name: &str, heard: &[String]) -> String {
        let commands = self.done.iter().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let commands: String = commands.map(|line| format!("{line}\n")).collect();
        let number = self.first_line
            + self.done.iter().take_while(|line| line.is_empty() || line.starts_with('#')).count();
        format!(
            "{name}.txt, line {number}:\n{commands}{LINE}\n{}\
             if it shall be so from now on: REWRITE=1 cargo test --test scripts {name}",
            difference(&self.heard, heard)
        )
    }
}

/// Lines that stay, that are missing, and that are new.
fn difference(wanted: &[String], found: &[String]) -> String {
    let same_at_start = wanted.iter().zip(found).take_while(|(one, other)| one == other).count();
    let (wanted_rest, found_rest) = (&wanted[same_at_start..], &found[same_at_start..]);
    let same_at_end =
        wanted_rest.iter().rev().zip(found_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let marked = |mark: &'static str, lines: &[String]| -> String {
        lines.iter().map(|line| format!("{mark} {line}\n")).collect()
    };
    [
        marked(" ", &wanted[..same_at_start]),
        marked("-", &wanted_rest[..wanted_rest.len() - same_at_end]),
        marked("+", &found_rest[..found_rest.len() - same_at_end]),
        marked(" ", &wanted_rest[wanted_rest.len() - same_at_end..]),
    ]
    .concat()
}

/// Who heard what, one below the other.
fn lay_out(heard: &[(String, String)]) -> Vec<String> {
    let width = heard.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    if heard.is_empty() {
        return vec![NOTHING.to_owned()];
    }
    heard.iter().map(|(name, what)| format!("{name:width$} < {what}")).collect()
}
