"""Everything that knows a language: word lists, stems, time expressions, feelings. It knows no plugin, no store and no asset."""
