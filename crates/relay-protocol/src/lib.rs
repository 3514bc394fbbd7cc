//! What providers' wire protocols say: request scan, SSE frames, usage, errors. No I/O.
