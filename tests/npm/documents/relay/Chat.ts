// What a client with Relay asks. Only its compiler reads this.
import { graphql } from 'relay-runtime';

export const person = graphql`
  fragment Chat_person on User {
    uid
    name
  }
`;

export const messages = graphql`
  fragment Chat_messages on Conversation
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" })
  @refetchable(queryName: "ChatMessagesPageQuery") {
    messages(first: $count, after: $cursor, filter: { includeDeleted: true }) @connection(key: "Chat_messages") {
      edges {
        node {
          id
          text
          sentAt
          sender {
            ...Chat_person
          }
        }
      }
    }
  }
`;

export const earlier = graphql`
  fragment Chat_earlier on Group
  @argumentDefinitions(count: { type: "Int", defaultValue: 20 }, cursor: { type: "String" })
  @refetchable(queryName: "ChatEarlierPageQuery") {
    membershipChanges(last: $count, before: $cursor) @connection(key: "Chat_membershipChanges") {
      edges {
        node {
          seq
          at
          user {
            ...Chat_person
          }
        }
      }
    }
  }
`;

export const query = graphql`
  query ChatQuery($guid: String!) {
    group(guid: $guid) {
      metadata
      ...Chat_earlier
      conversation {
        ...Chat_messages @arguments(count: 10)
      }
    }
  }
`;

export const again = graphql`
  query ChatAgainQuery($id: ID!) {
    node(id: $id) {
      __typename
      ...Chat_messages @alias
      ...Chat_person @alias
    }
  }
`;

export const changes = graphql`
  subscription ChatChangesSubscription($afterSeq: BigInt) {
    changes(afterSeq: $afterSeq) {
      seq
      nodes {
        id
        ...Chat_person @alias
      }
    }
  }
`;
