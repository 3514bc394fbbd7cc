//! Whose request it is, where proxies stand before Relay.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// Each proxy appends the address that it saw.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the client, if `hops` proxies before Relay are to be believed and `peer` is what the
/// listener saw.
///
/// Counted from the right, because what stands further to the left was sent by whoever it is about. An
/// entry that is no address ends the count: nothing beyond it is believed.
pub(crate) fn client_address(headers: &HeaderMap, peer: IpAddr, hops: usize) -> IpAddr {
    if hops == 0 {
        return peer;
    }
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().unwrap_or("?")).collect();
    let entries = lines.iter().rev().flat_map(|line| line.rsplit(','));
    entries.map(address).take(hops).map_while(|entry| entry).last().unwrap_or(peer)
}

/// An address, with or without a port and brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    let found = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|at| at.ip()));
    found.map(|found: IpAddr| found.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.1";

    fn found(lines: &[&str], hops: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        client_address(&headers, PEER.parse().unwrap(), hops).to_string()
    }

    #[test]
    fn as_many_proxies_are_believed_as_there_are() {
        let cases: [(&str, &[&str], usize, &str); 12] = [
            ("nobody is believed", &["203.0.113.9"], 0, PEER),
            ("nobody says anything", &[], 1, PEER),
            ("one proxy", &["203.0.113.9"], 1, "203.0.113.9"),
            ("one proxy, and a client that lies", &["10.0.0.1, 203.0.113.9"], 1, "203.0.113.9"),
            ("two proxies", &["1.1.1.1, 203.0.113.9,10.0.0.2"], 2, "203.0.113.9"),
            ("in two lines", &["1.1.1.1, 203.0.113.9", "10.0.0.2"], 2, "203.0.113.9"),
            ("fewer than there should be", &["203.0.113.9"], 3, "203.0.113.9"),
            ("a port", &["203.0.113.9:4711"], 1, "203.0.113.9"),
            ("IPv6", &["[2001:db8::1]:4711"], 1, "2001:db8::1"),
            ("IPv4 in IPv6", &["::ffff:203.0.113.9"], 1, "203.0.113.9"),
            ("nonsense is not believed", &["unknown"], 1, PEER),
            ("nor what is beyond it", &["203.0.113.9, _x, 10.0.0.2"], 3, "10.0.0.2"),
        ];
        for (name, lines, hops, expected) in cases {
            assert_eq!(found(lines, hops), expected, "{name}");
        }
    }
}
