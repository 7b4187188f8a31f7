//! Options from the environment. Each variable stands for the argument of its option where that is not given, so
//! both are read and refused by the same rules; what is wrong with a variable is said of the variable.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// What begins the name of each variable.
const PREFIX: &str = "WSLOOP_";
/// Names that differ more are not taken for misspelt ones.
const DISTANCE_MAX: usize = 3;
/// Warnings of one kind: some environments are full of variables (Kubernetes adds seven for a service).
const WARNINGS_MAX: usize = 10;

/// Variables and their values.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// What was given, by arguments and by variables.
pub(super) struct Given {
    pub(super) matches: ArgMatches,
    /// Flags (`--port`) that a variable stood for, and the variable.
    variables: Vec<(String, String)>,
}

impl Given {
    /// Reads arguments, the program's name first, and variables. Empty variables are as if they were not there.
    ///
    /// # Errors
    /// If either are wrong, or help is asked for.
    pub(super) fn read(
        command: &Command,
        arguments: &[OsString],
        variables: &Variables,
    ) -> Result<Given, Error> {
        let bare = command.clone().mut_args(|argument| argument.env(Resettable::Reset));
        let matches = match bare.clone().try_get_matches_from(arguments) {
            Ok(matches) => matches,
            // The same again from the whole command, whose help names the variables.
            Err(error) => return Err(command.clone().try_get_matches_from(arguments).err().unwrap_or(error)),
        };
        let (program, rest) = arguments
            .split_first()
            .map_or((OsString::new(), arguments), |(program, rest)| (program.clone(), rest));
        let (mut all, mut names) = (vec![program.clone()], Vec::new());
        for argument in command.get_arguments() {
            let is_given = matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine);
            let Some((name, value)) = find(argument, variables).filter(|_| !is_given) else { continue };
            let flag = format!("--{}", argument.get_long().unwrap_or_default());
            let Some(text) = as_argument(command, argument, &flag, (name, value))? else { continue };
            bare.clone().try_get_matches_from([&program, &text]).map_err(|mut error| {
                error.insert(
                    ContextKind::InvalidArg,
                    ContextValue::String(format!("{name} ({flag}{})", placeholder(argument))),
                );
                error
            })?;
            names.push((flag, name.to_owned()));
            all.push(text);
        }
        all.extend_from_slice(rest);
        Ok(Given { matches: bare.try_get_matches_from(all)?, variables: names })
    }

    /// A sentence about flags, in which those that came from variables are called so.
    pub(super) fn name(&self, sentence: &str) -> String {
        self.variables.iter().fold(sentence.to_owned(), |text, (flag, variable)| {
            let mut named = String::new();
            let mut rest = text.as_str();
            while let Some(start) = rest.find(flag.as_str()) {
                let (before, after) = rest.split_at(start);
                let after = &after[flag.len()..];
                named.push_str(before);
                named.push_str(flag);
                if !after.starts_with(|char: char| char == '-' || char.is_ascii_alphanumeric()) {
                    named.push_str(&format!(" (from {variable})"));
                }
                rest = after;
            }
            named + rest
        })
    }
}

/// What stands behind a flag: ` <PORT>`.
fn placeholder(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names.iter().map(|name| format!(" <{name}>")).collect()
}

/// An option's variable and its value, unless that is empty.
fn find<'a>(argument: &'a Arg, variables: &'a Variables) -> Option<(&'a str, &'a OsStr)> {
    let name = argument.get_env()?.to_str()?;
    let (_, value) = variables.iter().find(|(known, value)| known == name && !value.is_empty())?;
    Some((name, value))
}

/// The argument that a variable stands for; none if it says that a flag is off.
fn as_argument(
    command: &Command,
    argument: &Arg,
    flag: &str,
    (name, value): (&str, &OsStr),
) -> Result<Option<OsString>, Error> {
    let wrong = |advice: &str| {
        let text = format!("invalid value '{}' for '{name} ({flag})': {advice}", value.display());
        command.clone().error(ErrorKind::InvalidValue, text)
    };
    let text = value.to_str().ok_or_else(|| wrong("it is not UTF-8"))?;
    if !matches!(argument.get_action(), ArgAction::SetTrue) {
        return Ok(Some(format!("{flag}={text}").into()));
    }
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(Some(flag.into())),
        "0" | "false" | "no" | "off" => Ok(None),
        _ => Err(wrong("give 1, true, yes or on, or 0, false, no or off")),
    }
}

/// Variables that look like options and are none: nobody reads them.
pub(super) fn warn_of_unknown(command: &Command, variables: &Variables) -> Vec<String> {
    let known: Vec<&str> =
        command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let mut warnings = Vec::new();
    let mut left_out = 0;
    for (name, _) in variables {
        let name = name.to_string_lossy();
        let upper = name.to_ascii_uppercase();
        if !upper.starts_with(PREFIX) || known.contains(&name.as_ref()) {
            continue;
        }
        if warnings.len() == WARNINGS_MAX {
            left_out += 1;
            continue;
        }
        let nearest = known.iter().map(|known| (distance(known, &upper), known)).min();
        let advice = match nearest {
            Some((steps, known)) if steps <= DISTANCE_MAX => format!("did you mean {known}?"),
            _ => "see --help".to_owned(),
        };
        warnings.push(format!("the variable {} is no option of wsloop: {advice}", name.escape_debug()));
    }
    warnings.sort();
    if left_out > 0 {
        warnings.push(format!("{left_out} more variables that begin with {PREFIX} are no options"));
    }
    warnings
}

/// How many characters have to be added, taken away or replaced to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, char) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (place, wanted) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(char != wanted);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[row.len() - 1]
}
