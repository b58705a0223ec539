//! Secrets in files, as container platforms hand them over: what `--help` does not show the value of may be given as
//! `NAME_FILE`, the path of a file that holds it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::Command;
use clap::builder::Resettable;

/// What follows the name of a variable whose value is in a file.
pub const FILE_SUFFIX: &str = "_FILE";

/// Why a secret could not be taken from a file.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// Nobody could say which of the two counts.
    #[error("{0} and {0}{FILE_SUFFIX} are both given; keep one of them")]
    Both(String),
    /// The file is not there, not ours to read, or no text.
    #[error("{name}{FILE_SUFFIX} names {}, which cannot be read", path.display())]
    Unreadable {
        /// The variable that the file stands for.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
}

/// Lets the secrets of a command and of its subcommands be given as files; to be called before arguments are parsed. A
/// flag still goes before a file. Empty variables count as not given.
///
/// # Errors
/// See [`SecretFileError`].
#[expect(clippy::disallowed_methods, reason = "the arguments declare the settings that these variables stand for")]
pub fn with_secret_files(command: Command) -> Result<Command, SecretFileError> {
    with_files(command, &|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn with_files(mut command: Command, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Command, SecretFileError> {
    let secrets: Vec<(String, String)> = command
        .get_arguments()
        .filter(|argument| argument.is_hide_env_values_set())
        .filter_map(|argument| Some((argument.get_id().to_string(), argument.get_env()?.to_str()?.to_owned())))
        .collect();
    for (id, name) in secrets {
        let Some(secret) = secret_of(name, variable)? else {
            continue;
        };
        // An empty variable, as compose files pass unset ones, would go before the file.
        command = command.mut_arg(id, |argument| {
            argument.env(Resettable::Reset).required(false).default_value(secret).hide_default_value(true)
        });
    }
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    for subcommand in subcommands {
        let name = subcommand.get_name().to_owned();
        let changed = with_files(subcommand, variable)?;
        command = command.mut_subcommand(name, |_| changed);
    }
    Ok(command)
}

/// The text of the file that stands for this variable, without the end of its last line.
fn secret_of(name: String, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<String>, SecretFileError> {
    let Some(path) = variable(&format!("{name}{FILE_SUFFIX}")).map(PathBuf::from) else {
        return Ok(None);
    };
    if variable(&name).is_some() {
        return Err(SecretFileError::Both(name));
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(source) => Err(SecretFileError::Unreadable { name, path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, ServicesArgs};
    use clap::{Args, FromArgMatches};
    use std::fs;

    /// What the programs make of these variables and flags: the database's address, or the error.
    fn database(variables: &[(&str, &str)], flags: &[&str]) -> Result<String, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let sub = ServicesArgs::augment_args(Command::new("sub"));
        let command = ServicesArgs::augment_args(Command::new("test"))
            .args_conflicts_with_subcommands(true)
            .subcommand_negates_reqs(true)
            .subcommand(sub);
        let command = with_files(command, &variable).map_err(|error| error.to_string())?;
        let matches = command.try_get_matches_from(["test"].iter().chain(flags)).map_err(|error| error.to_string())?;
        let matches = matches.subcommand().map_or(&matches, |(_, matches)| matches);
        let args = ServicesArgs::from_arg_matches(matches).map_err(|error| error.to_string())?;
        Ok(args.database_url.expose().to_owned())
    }

    #[test]
    fn a_secret_comes_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (one, redis, empty) =
            (file("one", "postgres:///one\n"), file("redis", "redis://r\r\n"), file("empty", "\n"));
        let missing = folder.path().join("missing").to_str().unwrap().to_owned();
        let files = [("DATABASE_URL_FILE", &*one), ("REDIS_URL_FILE", &redis)];
        assert_eq!(database(&files, &[]), Ok("postgres:///one".to_owned()));
        assert_eq!(database(&files, &["sub"]), Ok("postgres:///one".to_owned()));
        assert_eq!(database(&files, &["--database-url", "postgres:///flag"]), Ok("postgres:///flag".to_owned()));

        let both = [("DATABASE_URL_FILE", &*one), ("DATABASE_URL", "postgres:///two")];
        assert_eq!(
            database(&both, &[]),
            Err("DATABASE_URL and DATABASE_URL_FILE are both given; keep one of them".to_owned())
        );
        let unreadable = database(&[("REDIS_URL_FILE", &missing)], &[]).unwrap_err();
        assert_eq!(unreadable, format!("REDIS_URL_FILE names {missing}, which cannot be read"));
        let nothing = database(&[("DATABASE_URL_FILE", &empty), ("REDIS_URL_FILE", &redis)], &[]).unwrap_err();
        assert!(nothing.contains("--database-url") && nothing.contains("it is empty"), "{nothing}");
    }

    #[test]
    fn help_does_not_show_what_is_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "hunter2").unwrap();
        let variable = |name: &str| (name == "DATABASE_URL_FILE").then(|| path.clone().into_os_string());
        let mut command = with_files(ServicesArgs::augment_args(Command::new("test")), &variable).unwrap();
        let help = command.render_long_help().to_string();
        assert!(!help.contains("hunter2"), "{help}");
        assert!(!format!("{:?}", Secret::from("hunter2".to_owned())).contains("hunter2"));
    }
}
