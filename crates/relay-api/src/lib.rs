//! Relay's HTTP edge: client routes, admin REST, error dialects, OpenAPI.
