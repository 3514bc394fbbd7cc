//! nginx as a plain proxy: the yardstick.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::server::{Core, Launch};

/// Writes a configuration into `folder` and says how to run nginx with it.
///
/// # Errors
///
/// Fails when the folder cannot be written to.
pub(crate) fn launch(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> Result<Launch> {
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder).context("cannot make nginx's folder")?;
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, text(&folder, address, upstream))?;
    let words = ["nginx", "-e", "stderr", "-p", &folder.display().to_string(), "-c"]
        .into_iter()
        .map(str::to_owned)
        .chain([configuration.display().to_string()])
        .collect();
    let log = folder.join("log");
    let core = Core::Proxies;
    Ok(Launch { words, environment: Vec::new(), address, tells_when_ready: false, core, log })
}

/// As lean as nginx goes: bodies stay in memory, nothing is logged, connections are kept.
fn text(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_requests 100000000;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream sandbox {{
    server {upstream};
    keepalive 1024;
    keepalive_requests 100000000;
  }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://sandbox;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
    }}
  }}
}}
"
    )
}
