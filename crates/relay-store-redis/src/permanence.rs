//! Whether what is in this Redis will be there tomorrow, and whether it is the Redis of yesterday.

use redis::Pipeline;
use relay_store::StoreError;

use crate::connection;
use crate::shared::Shared;

/// The name that an installation has given to this database, if one has.
pub(crate) async fn installation(shared: &Shared) -> Result<Option<String>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.cmd("GET").arg(shared.keyspace.installation());
    let answer = shared.pool.send(&pipeline).await?.pop();
    connection::read(answer.unwrap_or_default(), "GET")
}

/// Gives this database a name, unless it has one, and returns the one that it has now.
pub(crate) async fn install(shared: &Shared, name: &str) -> Result<String, StoreError> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("SET").arg(shared.keyspace.installation()).arg(name).arg("NX").ignore();
    pipeline.cmd("GET").arg(shared.keyspace.installation());
    let answer = shared.pool.send(&pipeline).await?.pop();
    connection::read(answer.unwrap_or_default(), "GET")
}

/// Whether this Redis writes anything to a disk by itself. `None`: it does not say.
pub(crate) async fn persists(shared: &Shared) -> Result<Option<bool>, StoreError> {
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.cmd("CONFIG").arg("GET").arg("appendonly");
    pipeline.cmd("CONFIG").arg("GET").arg("save");
    // A Redis of somebody else's often keeps its settings to itself.
    let answers = shared.pool.send_leniently(&pipeline).await?;
    let mut settings = Vec::new();
    for answer in answers {
        let Ok(pairs) = connection::read::<Vec<(String, String)>>(answer, "CONFIG GET") else {
            return Ok(None);
        };
        settings.extend(pairs);
    }
    let setting = |name: &str| {
        settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    Ok(match (setting("appendonly"), setting("save")) {
        (Some("yes"), _) => Some(true),
        (Some(_), Some(save)) => Some(!save.trim().is_empty()),
        (_, _) => None,
    })
}
