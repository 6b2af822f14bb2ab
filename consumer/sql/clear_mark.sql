delete from consumer_marks where topic = $1 and partition = $2
