"""Work that outlives the page that started it: job records, engines and the worker's entry point."""
