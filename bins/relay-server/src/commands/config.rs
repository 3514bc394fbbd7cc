//! `config show`.

use anyhow::Result;
use serde_json::json;

use crate::cli::ConfigCommand;
use crate::config::{Config, SETTINGS, Setting, Shown};
use crate::secrets_file::Secrets;
use crate::terminal::{print_json, print_table, say};

/// Shows every effective value and where it came from.
///
/// # Errors
///
/// Fails if the secrets file cannot be read.
pub(crate) fn run(command: &ConfigCommand, config: &Config) -> Result<()> {
    let ConfigCommand::Show(arguments) = command;
    let rows = rows(config)?;
    if arguments.json {
        let entries = rows.iter().map(|[name, value, origin, variable]| {
            json!({"name": name, "value": value, "source": origin, "variable": variable})
        });
        return print_json(&entries.collect::<Vec<_>>());
    }
    print_table(["SETTING", "VALUE", "SOURCE", "VARIABLE"], &rows);
    for name in config.strays() {
        say(format!("warning: {name} is set and is not a setting of Relay"));
    }
    Ok(())
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
    let follows_redis = setting.path == "store.kind" && config.sections.redis.is_named();
    if follows_redis { "default, because a Redis is named" } else { "default" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, FileChoice};

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
