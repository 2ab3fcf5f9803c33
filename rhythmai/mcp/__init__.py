"""The MCP server: RhythmAI as tools of an assistant, for films under one folder. It needs the extra `mcp`."""
