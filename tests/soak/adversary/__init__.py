"""Who means harm: an exchange that lies, a stranger in the store, readers that read nothing, parts that are held."""
