select exists (select from operators) as found
