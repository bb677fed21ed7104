"""WhatsApp's exported chats; one subject a file: lines, headers, order of dates, entries, what is speech."""
