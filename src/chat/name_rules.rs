//! Which names there can be, of people and of places, and which look alike: Unicode's rules of identifiers
//! (UAX 31) and of security (UTS 39), where a name is what people see.

use std::net::IpAddr;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{
    EmojiStatus, GeneralCategory as Category, GeneralCategoryGroup as Group, UnicodeEmoji as _,
    UnicodeGeneralCategory as _,
};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::mixed_script::AugmentedScriptSet;
use unicode_security::skeleton;

/// Names of people, in characters.
pub const NAME_CHARACTERS_MAX: usize = 32;
/// The same with compatible forms written out, of which one can be eighteen characters: comparing takes so long.
const WRITTEN_OUT_CHARACTERS_MAX: usize = 64;
/// Names of rooms and topics, in characters.
const PLACE_CHARACTERS_MAX: usize = 64;
/// What a person's name may hold beside letters, digits and emoji: nothing that a line or a list is written with.
const PERSON_SIGNS: &str = "-_.·・་&+!?*~#@$%=/|<>^";
/// And between two letters only, as in O'Brien; elsewhere they would be quotes.
const APOSTROPHES: &str = "'’׳״";
const PLACE_SIGNS: &str = "-_.~";
/// Marks on one letter, after it was composed with what it can be composed with: where letters are written with
/// few, and in the scripts that need more.
const MARKS_MAX: usize = 2;
const MARKS_MAX_ELSEWHERE: usize = 4;
/// An emoji of a family, each with a skin, takes 41 bytes.
const EMOJI_BYTES_MAX: usize = 64;
/// Letters that show nothing: of hieroglyphs, and of braille.
const BLANKS: [char; 3] = ['\u{13441}', '\u{13442}', '\u{2800}'];

const PERSON_LENGTH: &str = "a name is 1 to 32 characters; choose a shorter one";
const WRITTEN_OUT: &str =
    "a name is 64 characters at most when its ligatures are written out; write fewer of them";
const PLACE_LENGTH: &str = "a name here is 1 to 64 characters; choose a shorter one";
const SPACES: &str = "a name has no space at its ends and single ones within; leave the others out";
const HIDDEN: &str =
    "a name shows all that it holds; leave out control, direction, invisible, private and unknown characters";
const PERSON_CHARACTERS: &str = "a name is letters, digits, emoji, single spaces, and any of - _ . ' & + ! ? * ~ # @ $ % = / | < > ^; leave out the rest";
const PLACE_CHARACTERS: &str = "a name here is 1 to 64 letters, digits or any of - _ . ~; leave out the rest";
const MARKS: &str = "an accent in a name stands on a letter, and not on a heap of others; leave out the rest";
const SCRIPTS: &str = "a name is of one script, or of Latin with Chinese, Japanese or Korean: letters of several look like each other's; write it in one";
const ADDRESS: &str = "a name is no address; choose another";

/// Whether this is one emoji, and nothing else.
pub(super) fn is_emoji(text: &str) -> bool {
    text.len() <= EMOJI_BYTES_MAX && emoji_length(text) == Some(text.len())
}

/// Work that a name takes, where finding out what one of ASCII looks like is one: to check it, and to find out
/// what any other looks like.
pub(super) const NAME_WORK: usize = 32;

/// What each character of ASCII looks like: to look it up is many times faster.
static ASCII_LOOKS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let chars = (0..128_u8).map(|char| char::from(char).to_string());
    chars.map(|char| skeleton(&char).collect::<String>().to_lowercase()).collect()
});

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Person,
    ChannelName,
}

/// A person's name in its normal form.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn person_name(text: &str) -> Result<String, &'static str> {
    let name = composed(text, NAME_CHARACTERS_MAX).ok_or(PERSON_LENGTH)?;
    if name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
        return Err(SPACES);
    }
    check(&name, Subject::Person)?;
    if name.nfkc().nth(WRITTEN_OUT_CHARACTERS_MAX).is_some() {
        return Err(WRITTEN_OUT);
    }
    if is_address(&name) { Err(ADDRESS) } else { Ok(name) }
}

/// A room's or topic's name in its normal form: composed and decomposed letters are the same.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn channel_name(text: &str) -> Result<String, &'static str> {
    let name = composed(text, PLACE_CHARACTERS_MAX).ok_or(PLACE_LENGTH)?;
    check(&name, Subject::ChannelName)?;
    // A path cannot end in these.
    if [".", ".."].contains(&name.as_str()) { Err(PLACE_CHARACTERS) } else { Ok(name) }
}

/// What a name looks like, whatever the case of its letters: two names that share one of these can be taken for
/// each other. The look of the small letters is not always the small form of the look: `I` looks like `l`, and
/// the Cyrillic `В` like `B`, which `в` does not.
pub(super) fn looks(name: &str) -> [String; 2] {
    if name.is_ascii() {
        let look = |char: u8| &*ASCII_LOOKS[usize::from(char)];
        let small = name.bytes().map(|char| look(char.to_ascii_lowercase()));
        return [small.collect(), name.bytes().map(look).collect()];
    }
    full_looks(name)
}

/// The same, whatever is in it.
fn full_looks(name: &str) -> [String; 2] {
    let name: String = name.nfkc().collect();
    let look = |name: &str| skeleton(name).collect::<String>().to_lowercase();
    [look(&name.to_lowercase()), look(&name)]
}

/// The normal form, if it has so many characters at most, and one.
fn composed(text: &str, characters_max: usize) -> Option<String> {
    let name: String = text.nfc().take(characters_max + 1).collect();
    (1..=characters_max).contains(&name.chars().count()).then_some(name)
}

/// Checks a name character by character, emoji as a whole.
fn check(name: &str, subject: Subject) -> Result<(), &'static str> {
    let (signs, wrong) = match subject {
        Subject::Person => (PERSON_SIGNS, PERSON_CHARACTERS),
        Subject::ChannelName => (PLACE_SIGNS, PLACE_CHARACTERS),
    };
    let mut scripts = Scripts::default();
    let mut rest = name;
    // The last letter, with the marks on it so far.
    let mut stack: Option<(char, Vec<char>)> = None;
    while let Some(char) = rest.chars().next() {
        if let Some(length) = emoji_length(rest).filter(|_| subject == Subject::Person) {
            (rest, stack) = (&rest[length..], None);
            continue;
        }
        let before = stack.take();
        rest = &rest[char.len_utf8()..];
        if is_hidden(char) {
            return Err(HIDDEN);
        }
        match char.general_category_group() {
            Group::Letter if is_structure(char) => return Err(wrong),
            Group::Letter => stack = Some((char, Vec::new())),
            Group::Number => {}
            Group::Mark => stack = Some(stacked(before, char)?),
            _ if subject == Subject::Person && char == ' ' => continue,
            _ if signs.contains(char) => continue,
            _ if subject == Subject::Person && APOSTROPHES.contains(char) => {
                let is_inside = before.is_some() && rest.starts_with(char::is_alphabetic);
                if !is_inside {
                    return Err(wrong);
                }
                continue;
            }
            _ => return Err(wrong),
        }
        scripts.add(char);
    }
    if scripts.are_distinct() { Ok(()) } else { Err(SCRIPTS) }
}

/// Puts a mark on a letter.
fn stacked(before: Option<(char, Vec<char>)>, mark: char) -> Result<(char, Vec<char>), &'static str> {
    let (letter, mut marks) = before.ok_or(MARKS)?;
    let has_few =
        matches!(letter.script(), Script::Latin | Script::Greek | Script::Cyrillic | Script::Common);
    let most = if has_few { MARKS_MAX } else { MARKS_MAX_ELSEWHERE };
    let is_enclosing = mark.general_category() == Category::EnclosingMark;
    if is_enclosing || marks.len() == most || marks.last() == Some(&mark) {
        return Err(MARKS);
    }
    marks.push(mark);
    Ok((letter, marks))
}

/// Whether nobody sees it, or nobody knows what it is.
fn is_hidden(char: char) -> bool {
    let is_unknown = matches!(
        char.general_category(),
        Category::Control
            | Category::Format
            | Category::Surrogate
            | Category::PrivateUse
            | Category::Unassigned
            | Category::LineSeparator
            | Category::ParagraphSeparator
    );
    // UTS 39 §4: a skeleton leaves out what is Default_Ignorable, and nothing else.
    let is_ignorable = || skeleton(char.encode_utf8(&mut [0; 4])).next().is_none();
    is_unknown || BLANKS.contains(&char) || is_ignorable()
}

/// Whether a letter looks like what lines and addresses are written with, as `ː` does.
fn is_structure(char: char) -> bool {
    !char.is_ascii() && skeleton(char.encode_utf8(&mut [0; 4])).any(|char| "()[]{},:;\"`".contains(char))
}

/// Bytes of the emoji that a text begins with, whole sequences of UTS 51 §1.4: flags, keycaps, skins and hair,
/// and those that are joined from several. A mark or joint of them alone is none.
fn emoji_length(text: &str) -> Option<usize> {
    const FLAGS_OF_REGIONS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];
    let starts = |at: usize, char: char| text[at..].starts_with(char);
    let first = text.chars().next()?;
    let mut end = first.len_utf8();
    if is_region(first) {
        let second = text[end..].chars().next().filter(|second| is_region(*second))?;
        return Some(end + second.len_utf8());
    }
    if first.is_ascii() {
        let keycap = "\u{FE0F}\u{20E3}";
        let is_keycap = "0123456789#*".contains(first) && text[end..].starts_with(keycap);
        return is_keycap.then_some(end + keycap.len());
    }
    if first == '\u{1F3F4}' {
        let tags: String = FLAGS_OF_REGIONS
            .iter()
            .map(|region| region.bytes().map(tag).chain(['\u{E007F}']).collect::<String>())
            .find(|tags| text[end..].starts_with(tags))
            .unwrap_or_default();
        end += tags.len();
    }
    end = emoji_end(text, 0)?.max(end);
    while starts(end, '\u{200D}') {
        let Some(next) = emoji_end(text, end + '\u{200D}'.len_utf8()) else { break };
        end = next;
    }
    Some(end)
}

/// Where one emoji ends that begins here: with its skin, or with the mark that makes it one.
fn emoji_end(text: &str, start: usize) -> Option<usize> {
    let first = text[start..].chars().next()?;
    let is_base = !first.is_ascii()
        && first.is_emoji_char()
        && !is_region(first)
        && first.emoji_status() != EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent;
    let end = is_base.then_some(start + first.len_utf8())?;
    let next = text[end..].chars().next();
    let is_part = |next: &char| *next == '\u{FE0F}' || matches!(*next, '\u{1F3FB}'..='\u{1F3FF}');
    Some(end + next.filter(is_part).map_or(0, char::len_utf8))
}

fn is_region(char: char) -> bool {
    matches!(char, '\u{1F1E6}'..='\u{1F1FF}')
}

/// The tag character of an ASCII one.
fn tag(byte: u8) -> char {
    char::from_u32(0xE0000 + u32::from(byte)).expect("tags are characters")
}

/// The scripts that a name can be of, UTS 39 §5.1 and §5.2: "Highly Restrictive".
#[derive(Default)]
struct Scripts {
    all: AugmentedScriptSet,
    but_latin: AugmentedScriptSet,
}

impl Scripts {
    fn add(&mut self, char: char) {
        let set = AugmentedScriptSet::for_char(char);
        self.all.intersect_with(set);
        if !set.base.contains_script(Script::Latin) {
            self.but_latin.intersect_with(set);
        }
    }

    /// Whether it is of one script, or of Latin and one of the writing systems that are mixed with it.
    fn are_distinct(&self) -> bool {
        !self.all.is_empty() || self.but_latin.hanb || self.but_latin.jpan || self.but_latin.kore
    }
}

/// Whether it can be read as an IP address, whatever its digits look like.
fn is_address(name: &str) -> bool {
    // No other character of ASCII that a name can hold looks like a point.
    if name.is_ascii() && !name.contains('.') {
        return false;
    }
    let normal: String = name.nfkc().collect();
    let read: String = skeleton(&normal)
        .map(|char| match char {
            'l' => '1',
            'O' | 'o' => '0',
            char => char,
        })
        .collect();
    [&normal, &read].iter().any(|text| text.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests;
