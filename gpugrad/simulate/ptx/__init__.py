"""PTX text, read into a flat program: its syntax, its reader, its calls written out, its flow."""
