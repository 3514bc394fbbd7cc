//! Black-box tests of the real binary on both stores: what they stand on.
//!
//! A [`Relay`] is the server as an operator runs it, in a folder (and with a Redis) of its own. Its
//! [`Account`]s answer from scripted sandboxes within the test. [`Request`] and [`Exchange`] are an HTTP
//! client that hides nothing: exact bytes, exact headers, and how a body ended.

#![expect(clippy::panic, reason = "a fixture that cannot be had fails its test, with the reason")]

mod account;
mod answer;
mod binary;
mod body;
mod exchange;
mod relay;
mod request;
mod server_process;

pub use account::{Account, AccountSettings, Upstream};
pub use answer::{Answer, End, Event};
pub use binary::{CommandOutput, server_binary};
pub use exchange::Exchange;
pub use relay::{ADMIN_PASSWORD, ApiKey, Relay, RelaySettings, Store};
pub use request::Request;

use sha2::{Digest as _, Sha256};

/// SHA-256 in lower-case hexadecimal, as the sandbox records it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Makes two tests of each function named, one a store: `sqlite::name` and `redis::name`. The functions
/// are `async fn(Store)` of the module that this stands in.
#[macro_export]
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name($crate::Store::Sqlite)).await;
                }
            )+
        }
        mod redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name($crate::Store::Redis)).await;
                }
            )+
        }
    };
}
