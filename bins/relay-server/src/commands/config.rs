//! `config show` and `config check`.

use anyhow::Result;
use serde_json::json;

use crate::cli::{CheckArgs, ConfigCommand, ListArgs};
use crate::config::{Config, ConfigError, Environment, FileChoice, SETTINGS, Setting, Shown};
use crate::secrets_file::Secrets;
use crate::terminal::{print, print_json, print_table, say};

/// Shows the configuration, or what is wrong with it.
///
/// # Errors
///
/// Fails if the configuration cannot be used or the secrets file cannot be read.
pub(crate) fn run(command: &ConfigCommand, environment: &Environment) -> Result<()> {
    match command {
        ConfigCommand::Show(arguments) => {
            show(*arguments, &Config::load(environment, FileChoice::Usual)?)
        }
        ConfigCommand::Check(arguments) => check(*arguments, environment),
    }
}

/// Shows every effective value and where it came from.
fn show(arguments: ListArgs, config: &Config) -> Result<()> {
    let rows = rows(config)?;
    let notices = config.notices();
    if arguments.json {
        let settings = rows.iter().map(|[name, value, origin, variable]| {
            json!({"name": name, "value": value, "source": origin, "variable": variable})
        });
        return print_json(&json!({
            "settings": settings.collect::<Vec<_>>(),
            "ignored": ignored(config),
            "warnings": notices.doubts().collect::<Vec<_>>(),
        }));
    }
    print_table(["SETTING", "VALUE", "SOURCE", "VARIABLE"], &rows);
    let ignored: Vec<_> =
        notices.ignored().map(|(name, why)| [name.to_owned(), why.to_owned()]).collect();
    if !ignored.is_empty() {
        print("");
        print_table(["IGNORED VARIABLE", "BECAUSE"], &ignored);
    }
    for doubt in notices.doubts() {
        say(format!("warning: {doubt}"));
    }
    Ok(())
}

/// Says all that is wrong, and all that may not be meant so.
fn check(arguments: CheckArgs, environment: &Environment) -> Result<()> {
    let (config, problems) = Config::examine(environment, FileChoice::Usual)?;
    let notices = config.notices();
    let doubts: Vec<String> = notices.doubts().collect();
    if arguments.json {
        print_json(&json!({
            "problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "warnings": doubts,
            "ignored": ignored(&config),
        }))?;
    } else {
        for doubt in &doubts {
            print(format!("warning: {doubt}"));
        }
        for (name, why) in notices.ignored() {
            print(format!("ignored: {name}: {why}"));
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::Refused(problems).into());
    }
    Secrets::resolve(&config.sections.secrets, &config.sections.store.data_dir)?;
    if arguments.strict && !doubts.is_empty() {
        return Err(ConfigError::Doubtful(doubts.len()).into());
    }
    if !arguments.json {
        print("The configuration can be used.");
    }
    Ok(())
}

fn ignored(config: &Config) -> Vec<serde_json::Value> {
    let entry = |(name, why)| json!({"variable": name, "because": why});
    config.notices().ignored().map(entry).collect()
}

fn rows(config: &Config) -> Result<Vec<[String; 4]>> {
    let secrets = Secrets::resolve(&config.sections.secrets, &config.sections.store.data_dir)?;
    let row = |setting: &Setting| {
        let (value, origin) = match setting.show(config) {
            Shown::Value(value) => {
                (value, config.origin(setting.path).unwrap_or(derived(setting, config)).to_owned())
            }
            Shown::Secret => {
                ("(set)".to_owned(), config.origin(setting.path).unwrap_or("default").to_owned())
            }
            Shown::Unset => match secrets.keeps(setting.path) {
                Some(true) => ("(set)".to_owned(), secrets.path().display().to_string()),
                Some(false) => ("(not set)".to_owned(), "generated at the first start".to_owned()),
                None => ("(not set)".to_owned(), "default".to_owned()),
            },
        };
        [setting.path.to_owned(), value, origin, setting.variable.to_owned()]
    };
    Ok(SETTINGS.iter().map(row).collect())
}

/// Where a value came from that nobody gave.
fn derived(setting: &Setting, config: &Config) -> &'static str {
    let takes_over = config.compat().is_some();
    match setting.path {
        "store.kind" if config.sections.redis.is_named() => "default, because a Redis is named",
        "store.kind" if takes_over => "default, because RELAY_COMPAT is set",
        "redis.db" if takes_over => "default of the predecessor",
        _ => "default",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_with_their_source_and_secrets_stay_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_str().unwrap();
        let environment = Environment::from([
            ("RELAY_DATA_DIR", data_dir),
            ("REDIS_HOST", "cache"),
            ("REDIS_PASSWORD", "hidden"),
            ("ENCRYPTION_KEY", "hidden"),
        ]);
        let config = Config::load(&environment, FileChoice::Ignored).unwrap();
        let expected = [
            ("server.port", "4000", "default"),
            ("store.data_dir", data_dir, "RELAY_DATA_DIR"),
            ("store.kind", "redis", "default, because a Redis is named"),
            ("redis.password", "(set)", "REDIS_PASSWORD"),
            ("redis.url", "(not set)", "default"),
            ("secrets.encryption_key", "(set)", "ENCRYPTION_KEY"),
            ("secrets.jwt_secret", "(not set)", "generated at the first start"),
        ];
        let rows = rows(&config).unwrap();
        for (path, value, origin) in expected {
            let row = rows.iter().find(|row| row[0] == path).unwrap();
            assert_eq!((row[1].as_str(), row[2].as_str()), (value, origin), "{path}");
        }
        assert!(!rows.concat().concat().contains("hidden"));
    }
}
