//! A scriptable upstream that speaks Anthropic Messages and misbehaves on demand.
